"""Sizes as users give them."""


def height_and_width(size: int | tuple[int, int], name: str) -> tuple[int, int]:
    """Return a size as (height, width), given one number for a square or both.

    Args:
        size: In pixels.
        name: Its name in messages.

    Raises:
        ValueError: A side is below one pixel.
    """
    height, width = (size, size) if isinstance(size, int) else size
    if min(height, width) < 1:
        raise ValueError(f"{name} must be at least 1 pixel, got {size!r}.")
    return height, width
