"""``foveal demo``."""
