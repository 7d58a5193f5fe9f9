"""``foveal train``."""
