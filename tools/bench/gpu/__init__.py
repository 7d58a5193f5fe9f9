"""``foveal bench gpu``: everything that can only be tested on a GPU, in one run of a few minutes."""
