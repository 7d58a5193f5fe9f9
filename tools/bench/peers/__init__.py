"""``foveal bench peers``: what users would pick instead."""
