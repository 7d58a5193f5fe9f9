"""Reads two neighbouring pixels of an image at once, for the CUDA kernels.

Their six bytes may begin at any address. Six single loads would each cost as much as a load of eight bytes, because the
number of requested cache lines counts. Therefore the one or two aligned words of eight bytes that contain them are read
and shifted. A word is only read if it contains a needed byte, so it is always in readable memory.
"""

# no_type_check keeps typing tools off functions that the compiler reads: Triton has its own types.
from typing import no_type_check

import triton
import triton.language as tl


@triton.jit
@no_type_check
def read_pair(address, pixels, wanted):
    """Return the bytes from ``address`` on, the first one lowest. Only the first ``pixels`` times three are defined."""
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
