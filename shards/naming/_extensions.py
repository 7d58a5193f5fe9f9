"""What members of each extension hold, by webdataset's conventions: the last part of a member's extension decides."""

INTEGERS = frozenset({"cls", "cls2", "class", "count", "index", "inx", "id"})
# How names of compressed tars end.
PACKED = (".tar.gz", ".tgz", ".tar.zst", ".tzst", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
JSON = frozenset({"json", "jsn"})
# How names of images end in formats that can be decoded; the content decides which format it is.
IMAGES = frozenset(
    {"jpg", "jpeg", "jpe", "jfif", "png", "apng", "webp", "bmp", "gif", "tif", "tiff"}
    | {"avif", "avifs", "heic", "heif", "hif", "dcm", "dicom", "lerc"}
    | {"jp2", "j2k", "j2c", "jpc", "jpf", "jpx", "jxl", "jls", "jxr", "hdp", "wdp"}
    | {"pbm", "pgm", "ppm", "pnm", "pfm"}
)
