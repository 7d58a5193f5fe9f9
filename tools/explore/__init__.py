"""``foveal explore``: a page in the browser that shows what a zoom does to the samples of some shards."""
