"""What members of each extension hold, by webdataset's conventions: the last part of a member's extension decides."""

INTEGERS = frozenset({"cls", "cls2", "class", "count", "index", "inx", "id"})
# How names of compressed tars end.
PACKED = (".tar.gz", ".tgz", ".tar.zst", ".tzst", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
JSON = frozenset({"json", "jsn"})
