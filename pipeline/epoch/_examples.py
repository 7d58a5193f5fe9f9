"""Examples of what fields hold, which tell the shape of a batch without samples."""

from dataclasses import dataclass, field
from typing import Any

from foveal.pipeline.fields import MemberError, alternatives, parse_member
from foveal.shards import SampleError, Shards

# If this many samples lack a field, no example of it is searched for any more.
_TRIES = 100


@dataclass(frozen=True, slots=True)
class Examples:
    """Finds the first sample that has a plain field. So a batch without samples is the same on all ranks and in all runs.

    Attributes:
        shards: Where the samples are.
    """

    shards: Shards
    _found: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)

    def __call__(self, name: str) -> Any:
        """Return what a field is in the first sample that has it; None if none of the first samples has it.

        Raises:
            ShardError: A shard cannot be read.
        """
        if name not in self._found:
            self._found[name] = self._find(name)
        return self._found[name]

    def _find(self, name: str) -> Any:
        wanted = frozenset(alternatives(name))
        for number in range(min(len(self.shards), _TRIES)):
            try:
                return parse_member(name, self.shards.read(number, wanted).members)
            except (SampleError, MemberError):
                continue
        return None
