"""``foveal bench``."""
