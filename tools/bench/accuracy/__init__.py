"""``foveal bench accuracy``: what the zoom brings."""
