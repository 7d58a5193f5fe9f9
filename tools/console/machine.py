"""The machine that this runs on, and the versions of its packages."""

import os
import platform
import re
from importlib import metadata
from pathlib import Path
from typing import Any

import torch


def environment() -> dict[str, Any]:
    """Return the versions and the hardware that the results of a benchmark depend on."""
    packages = ("foveal", "torch", "numpy", "numba", "pillow", "nvidia-dali-cuda130", "nvidia-dali-cuda120")
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "python": platform.python_version(),
        "packages": {name: version for name in packages if (version := _version(name))},
        "cpu": _cpu_name(),
        "cores": len(os.sched_getaffinity(0)),
        "gpu": gpu,
    }


def describe_machine() -> str:
    """Return a description of the machine in one line."""
    facts = environment()
    return f"{facts['cores']} cores of {facts['cpu']}" + (f", {facts['gpu']}" if facts["gpu"] else "")


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _cpu_name() -> str:
    found = re.search(r"^model name\s*: (.*)$", _cpu_info(), re.MULTILINE)
    return found[1] if found else platform.machine()


def _cpu_info() -> str:
    try:
        return Path("/proc/cpuinfo").read_text()
    except OSError:
        return ""
