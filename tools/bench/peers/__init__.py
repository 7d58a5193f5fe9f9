"""``foveal bench peers``: other loaders that users might choose."""
