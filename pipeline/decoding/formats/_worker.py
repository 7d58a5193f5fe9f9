"""The helper process: decodes what is sent to its standard input, within limits of memory and time.

It is run as a file, by its path: the packages above this one would load torch and DALI, so it replaces them by empty ones.
"""

import json
import os
import resource
import sys
import types
from pathlib import Path
from typing import IO, Any

_FOLDER = Path(__file__).parent


def main() -> None:
    """Answer requests until there are no more."""
    requests, answers = os.fdopen(0, "rb", closefd=False), os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 1)  # what C libraries print must not be read as an answer
    os.dup2(nowhere, 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    while True:
        try:
            _answer(requests, answers)
        except (EOFError, BrokenPipeError):
            return


def _answer(requests: IO[bytes], answers: IO[bytes]) -> None:
    from foveal.pipeline.decoding.formats._read import PROFILES, READERS, SHOWN, SIZES  # noqa: PLC0415 - after the packages are stood in for
    from foveal.pipeline.decoding.formats._samples import RefusedError  # noqa: PLC0415 - likewise
    from foveal.pipeline.decoding.formats._wire import receive, send  # noqa: PLC0415 - likewise

    request, content = receive(requests, sys.maxsize)
    _limit(request["most_bytes"], request["seconds"])
    file, kind = bytes(content), request["kind"]
    try:
        if request["what"] == "size":
            send(answers, {"size": SIZES[kind](file)})
            return
        if request["what"] == "profile":
            send(answers, {}, PROFILES[kind](file))
            return
        bands = request["bands"]
        read = SHOWN.get(kind, READERS[kind]) if request["shown"] else READERS[kind]
        samples = read(file, None if bands is None else tuple(bands))
        values = samples.values
        if not values.flags.c_contiguous or not values.dtype.isnative:
            values = values.astype(values.dtype.newbyteorder("="), order="C")
        facts = {**samples.facts(), "shape": values.shape, "dtype": values.dtype.str}
        answer: tuple[dict[str, Any], Any] = (facts, values.reshape(-1))
    except BrokenPipeError:
        raise
    except RefusedError as error:
        answer = {"refused": str(error)}, b""
    except MemoryError:
        answer = {"fault": "it takes more memory than its header explains"}, b""
    except Exception as error:  # noqa: BLE001 - whatever libraries run into
        answer = {"fault": " ".join(str(error).split()) or type(error).__name__}, b""
    send(answers, *answer)


def _limit(most_bytes: int, seconds: int) -> None:
    """Limit this request: memory beyond the present, and processor time from now on."""
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (mapped + most_bytes, resource.RLIM_INFINITY))
    used = resource.getrusage(resource.RUSAGE_SELF)
    until = int(used.ru_utime + used.ru_stime) + 1 + seconds
    resource.setrlimit(resource.RLIMIT_CPU, (until, resource.RLIM_INFINITY))


def _stand_in(name: str, folder: Path) -> None:
    package = types.ModuleType(name)
    package.__path__ = [str(folder)]
    sys.modules[name] = package


if __name__ == "__main__":
    sys.path[:] = json.loads(sys.argv[1])
    _stand_in("foveal", _FOLDER.parents[2])
    _stand_in("foveal.pipeline", _FOLDER.parents[1])
    _stand_in("foveal.pipeline.decoding", _FOLDER.parent)
    main()
