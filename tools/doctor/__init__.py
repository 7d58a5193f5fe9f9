"""``foveal doctor``."""
