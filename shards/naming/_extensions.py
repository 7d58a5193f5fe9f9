"""Which extensions hold what, by webdataset's conventions: the last part of a member's extension decides."""

INTEGERS = frozenset({"cls", "cls2", "class", "count", "index", "inx", "id"})
JSON = frozenset({"json", "jsn"})
