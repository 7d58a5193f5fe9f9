"""How the CUDA kernels read: two neighbouring pixels of an image at once.

Their six bytes begin anywhere. Read one by one, they would be six loads, each of which costs as much as one of eight
bytes: what counts is how many lines a warp asks for. So the aligned words of eight bytes that hold them are read, one
or two, and shifted. A word is read only if it holds a byte that is wanted; then it lies in memory that may be read.
"""

# no_type_check keeps typing tools off functions that the compiler reads: Triton has its own types.
from typing import no_type_check

import triton
import triton.language as tl


@triton.jit
@no_type_check
def read_pair(address, pixels, wanted):
    """Return the bytes from ``address`` on, the first one lowest: ``pixels`` times three count, the others are noise."""
    word = (address & -8).to(tl.pointer_type(tl.uint64))
    begin = address & 7
    low = tl.load(word, mask=wanted, other=0)
    high = tl.load(word + 1, mask=wanted & (begin + 3 * pixels > 8), other=0)
    shift = (8 * begin).to(tl.uint64)
    return (low >> shift) | ((high << 8) << (56 - shift))


@triton.jit
@no_type_check
def byte(pair, position: tl.constexpr):
    """Return one of the bytes: 0 to 2 are the first pixel's red, green and blue, 3 to 5 the second's."""
    return ((pair >> (8 * position)) & 255).to(tl.int32)
