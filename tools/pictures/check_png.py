"""Checks the name of a picture before anything is done for it."""

from pathlib import Path


def check_png(out: Path) -> None:
    """Raise if a file that will be a PNG is not called one.

    Raises:
        ValueError: It has another extension, or none.
    """
    if out.suffix.lower() != ".png":
        raise ValueError(
            f"out must be a file with the extension .png, got {str(out)!r} – the picture is a PNG."
        )
