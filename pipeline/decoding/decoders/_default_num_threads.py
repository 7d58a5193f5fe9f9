"""How many threads decode, if nobody says."""

import os


def default_num_threads() -> int:
    """Return the number of processors that this process may use, divided by the number of ranks on this machine."""
    ranks_here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return max(1, len(os.sched_getaffinity(0)) // ranks_here)
