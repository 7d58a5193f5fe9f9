"""Runs loaders in processes of their own, and lists the threads of loaders in this one."""

import subprocess
import sys
import textwrap
import threading

from tests.time_limits import HANGS_AFTER_S

HEAD = """
import gc, itertools, os, signal, sys, time
import torch
from foveal.pipeline import ZoomLoader
from foveal.sampler import SaliencySampler, UniformSampler
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job begins with it ignored
urls = sys.argv[1:]
"""


def python(code: str, *arguments: str, **options) -> subprocess.CompletedProcess[str]:
    """Run code after the usual imports, with ``urls`` as its arguments."""
    command = [sys.executable, "-c", HEAD + textwrap.dedent(code), *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=HANGS_AFTER_S, check=False, **options
    )


def foveal_threads() -> list[str]:
    """Return the names of running threads that a loader started."""
    return [
        thread.name
        for thread in threading.enumerate()
        if thread.name.startswith("foveal-") and "sampler" not in thread.name
    ]
