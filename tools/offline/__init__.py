"""``foveal zoom``: zoomed shards, written offline."""
