"""What a stage reads from."""

from collections.abc import Generator
from typing import TypeVar

from foveal.pipeline.flow import Background

T = TypeVar("T")

Stage = Generator[T] | Background[T]
"""The input of a stage, which the stage closes when it ends."""
