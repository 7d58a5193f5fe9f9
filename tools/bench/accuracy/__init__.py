"""``foveal bench accuracy``: the accuracy that a classifier gains by the zoom."""
