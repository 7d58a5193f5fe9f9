"""Foveal: a data loader that gives what matters in an image more of the pixels.

Shards in, zoomed batches out. Four doors, imported when they are needed:

* :mod:`foveal.shards` -- data at rest: which tars, where each sample lies, in which order
* :mod:`foveal.sampler` -- where to look and what to bring back; tensors in, tensors out
* :mod:`foveal.pipeline` -- the loader: bytes, DALI, low-resolution look, sampler, batch
* :mod:`foveal.tools` -- the command line
"""

__version__ = "0.1.0"
