"""``foveal bench grid | sample | kernel | quality | topk | adaptive``: parts of a zoom, timed or compared by themselves."""
