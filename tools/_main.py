"""The entry point of the command line: its errors and exit codes.

Exit codes: 0 good, 1 failed (one line on standard error says why), 2 bad usage, 130 interrupted.
"""

import io
import os
import sys
import warnings

from foveal.tools._cli import app

# Packages that only some verbs need, and the extra that installs each.
_EXTRAS = {"matplotlib": "plots", "ray": "ray", "nicegui": "explore", "tensorboard": "tensorboard"}
_INTERRUPTED = 130


def main() -> None:
    """Run ``foveal``: the entry point of the command line."""
    # While torch's threads wait, they would keep processors busy that decoding needs. OpenMP reads this variable when
    # torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    warnings.formatwarning = _one_line
    for stream in (sys.stdout, sys.stderr):
        # A character that the output's encoding lacks must not end a verb before it has said what it found.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        app(prog_name="foveal")
    except ModuleNotFoundError as error:
        if error.name is None:  # our own, which says what to install
            _fail(error)
        if error.name not in _EXTRAS:
            raise
        extra = _EXTRAS[error.name]
        _fail(f"this needs {error.name}, which is not installed – run pip install 'foveal[{extra}]'")
    except (ValueError, OSError) as error:
        _fail(_in_words(error))
    except Exception as error:
        if _is_interrupt(error):
            sys.exit(_INTERRUPTED)
        if not _is_about_data(error):
            raise
        _fail(getattr(error, "without_settings", error))  # a verb has no option for every setting of a loader


def _is_interrupt(error: BaseException | None) -> bool:
    """Say whether Ctrl-C caused an error: in a compiled module that is being imported, it becomes an ImportError (pybind11)."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__
    return error is not None


def _is_about_data(error: Exception) -> bool:
    # Compared by name: importing the class would load NumPy for every verb.
    return any(kind.__name__ == "DataError" for kind in type(error).__mro__)


def _in_words(error: Exception) -> object:
    """Return what to print: of the system's own errors the file and the reason, without their number."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        from foveal.shards.store import is_full  # noqa: PLC0415 - heavy

        what = "written" if is_full(error) else "used"
        return f"{os.fsdecode(error.filename)} cannot be {what}: {error.strerror}."
    return error


def _one_line(message: Warning | str, *_where: object, **_what: object) -> str:
    return f"foveal: {message}\n"


def _fail(reason: object) -> None:
    print(f"foveal: {' '.join(str(reason).split())}", file=sys.stderr)
    sys.exit(1)
