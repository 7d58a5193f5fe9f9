"""The scale of a slider: which mark stands for which value. Each value has a mark of its own, or a checkpoint's settings would be lost."""

import math
from dataclasses import dataclass

from foveal.tools.console.zoom_choice import Described


@dataclass(frozen=True, slots=True)
class Scale:
    """The marks of a slider.

    Attributes:
        least: The first mark.
        most: The last one.
        step: From one to the next.
        unbounded: The value that stands for no bound; None if there is none. If it is infinite, the last mark stands for it.
    """

    least: float
    most: float
    step: float
    unbounded: float | None = None

    @classmethod
    def reaching(cls, described: Described, value: float) -> "Scale":
        """Return the scale of a setting, as much longer as this value needs: a checkpoint may have any."""
        least, most, step = described.marks
        if not math.isinf(value):
            least, most = min(least, value), max(most, value)
        steps = math.ceil(round((most - least) / step, 6)) + (described.unbounded == math.inf)
        return cls(least, round(least + steps * step, 6), step, described.unbounded)

    def mark_of(self, value: float) -> float:
        """Return where the slider stands for a value."""
        return min(value, self.most)

    def value_at(self, mark: float) -> float:
        """Return the value for which the slider stands at a mark."""
        return math.inf if self.unbounded == math.inf and mark >= self.most else mark

    def text(self, mark: float) -> str:
        """Return what is said of a mark beside the slider."""
        return "no bound" if self.value_at(mark) == self.unbounded else f"{mark:g}"
