"""``foveal pack``: shards from a folder of images."""
