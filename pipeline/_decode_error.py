"""What is wrong with an image."""


class DecodeError(Exception):
    """An image that cannot be decoded. Reads as ``image 3 is empty: 0 bytes``.

    Attributes:
        reason: What is wrong with it, as in "is empty: 0 bytes".
        index: Which one of the images given to the decoder, None when there was just one.
    """

    def __init__(self, reason: str, index: int | None = None) -> None:
        super().__init__(reason, index)  # as args, so that it pickles
        self.reason = reason
        self.index = index

    def __str__(self) -> str:
        return f"image {self.reason}" if self.index is None else f"image {self.index} {self.reason}"
