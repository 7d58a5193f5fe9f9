"""The format of a file, recognised by its first bytes, and the modules that read it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kind:
    """A format.

    Attributes:
        name: Its name in messages.
        needs: The modules that read it if DALI and Pillow do not; empty for formats that they read.
    """

    name: str
    needs: tuple[str, ...] = ()


JPEG = Kind("JPEG", ("imagecodecs",))
JPEG_LS = Kind("JPEG-LS", ("imagecodecs",))
PNG = Kind("PNG")
WEBP = Kind("WebP")
TIFF = Kind("TIFF", ("tifffile", "imagecodecs"))
# Layouts that nvImageCodec decodes right; it comes with DALI.
PLAIN_TIFF = Kind("plain TIFF", ("nvidia.nvimgcodec",))
JPEG_2000 = Kind("JPEG 2000", ("imagecodecs",))
JPEG_XL = Kind("JPEG XL", ("imagecodecs",))
JPEG_XR = Kind("JPEG XR", ("imagecodecs",))
LERC = Kind("LERC", ("imagecodecs",))
DICOM = Kind("DICOM", ("pydicom", "pylibjpeg"))
HEIC = Kind("HEIC", ("pillow_heif",))
AVIF = Kind("AVIF", ("imagecodecs",))
PNM = Kind("PNM")
NPY = Kind("npy")
OTHER = Kind("image")

_SIGNATURES = {
    b"\x89PNG\r\n\x1a\n": PNG,
    b"\0\0\0\x0cjP  ": JPEG_2000,
    b"\xff\x4f\xff\x51": JPEG_2000,
    b"\xff\x0a": JPEG_XL,
    b"\0\0\0\x0cJXL ": JPEG_XL,
    b"II*\0": TIFF,
    b"MM\0*": TIFF,
    b"II+\0": TIFF,
    b"MM\0+": TIFF,
    b"II\xbc": JPEG_XR,
    b"Lerc2 ": LERC,
    b"\x93NUMPY": NPY,
}
_PNM = tuple(b"P%c" % letter for letter in b"123456Ff")
_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
_AVIF_BRANDS = {b"avif", b"avis"}


def kind_of_file(file: bytes) -> Kind:
    """Return the format of a file, by its first bytes."""
    if file.startswith(b"\xff\xd8"):
        return JPEG
    for signature, kind in _SIGNATURES.items():
        if file.startswith(signature):
            return kind
    if file[:4] == b"RIFF" and file[8:12] == b"WEBP":
        return WEBP
    if file[128:132] == b"DICM":
        return DICOM
    if file[4:8] == b"ftyp":
        return _of_brands(file)
    return PNM if file[:2] in _PNM and file[2:3].isspace() else OTHER


def _of_brands(file: bytes) -> Kind:
    """AVIF and HEIC share a container: its brands tell them apart."""
    box = file[8 : min(int.from_bytes(file[:4]), 256)]
    brands = {box[k : k + 4] for k in range(0, len(box), 4)}
    if brands & _AVIF_BRANDS:
        return AVIF
    return HEIC if brands & _HEIC_BRANDS else OTHER
