"""The command line: ``foveal --help``."""

from foveal.tools._cli import main

__all__ = ["main"]
