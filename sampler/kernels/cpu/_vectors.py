"""Vector types for numba's functions: sums over several pixels, and over the channels of one, which the compiler would not vectorise from a loop.

Three types, each an LLVM vector that stays in registers:

* ``Eight``: 32 bytes, the channels of eight pixels and eight unused ones.
* ``Line``: 16 reals, the channels of five pixels and one that is always zero.
* ``Colour``: 4 reals, the channels of one pixel and one unused one.
"""

# ruff: noqa: ANN001, ANN202, ARG001 - numba reads the signatures of intrinsics, by place and by name
from typing import Any, no_type_check

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model

EIGHT, FIVE = 8, 5
OVER = 32
"""Bytes that `eight_pixels` reads."""

_REALS, _COLOUR = 16, 4
_BYTE, _SUM, _INDEX, _LONG = ir.IntType(8), ir.IntType(16), ir.IntType(32), ir.IntType(64)


class Eight(types.Type):
    """The channels of eight pixels, as bytes, and eight unused bytes."""

    def __init__(self) -> None:
        super().__init__("Eight")


class Line(types.Type):
    """The channels of five pixels, as reals."""

    def __init__(self, dtype: Any) -> None:
        self.dtype = dtype
        super().__init__(f"Line({dtype})")


class Colour(types.Type):
    """The channels of one pixel, as reals."""

    def __init__(self, dtype: Any) -> None:
        self.dtype = dtype
        super().__init__(f"Colour({dtype})")


@register_model(Eight)
class _EightModel(models.PrimitiveModel):
    def __init__(self, dmm: Any, fe_type: Any) -> None:
        super().__init__(dmm, fe_type, ir.VectorType(_BYTE, OVER))  # type: ignore[no-untyped-call]


@register_model(Line)
class _LineModel(models.PrimitiveModel):
    def __init__(self, dmm: Any, fe_type: Any) -> None:
        super().__init__(dmm, fe_type, ir.VectorType(dmm.lookup(fe_type.dtype).get_value_type(), _REALS))  # type: ignore[no-untyped-call]


@register_model(Colour)
class _ColourModel(models.PrimitiveModel):
    def __init__(self, dmm: Any, fe_type: Any) -> None:
        super().__init__(dmm, fe_type, ir.VectorType(dmm.lookup(fe_type.dtype).get_value_type(), _COLOUR))  # type: ignore[no-untyped-call]


@intrinsic
@no_type_check
def no_colour(typing_context, zero):
    """Return a colour of zero, of the type of ``zero``."""

    @no_type_check
    def generate(context, builder, signature, arguments):
        return ir.Constant(ir.VectorType(arguments[0].type, _COLOUR), [0.0] * _COLOUR)

    return Colour(zero)(zero), generate


@intrinsic
@no_type_check
def eight_pixels(typing_context, address):
    """Read eight pixels from an address; `OVER` bytes must be readable."""

    @no_type_check
    def generate(context, builder, signature, arguments):
        return _load(builder, arguments[0], ir.VectorType(_BYTE, OVER))

    return Eight()(types.int64), generate


@intrinsic
@no_type_check
def first_of_eight(typing_context, pixels, zero):
    """Return the first of eight pixels, as a colour of the type of ``zero``."""

    @no_type_check
    def generate(context, builder, signature, arguments):
        wide = builder.zext(_pick(builder, arguments[0], [0, 1, 2, 3]), ir.VectorType(_INDEX, _COLOUR))
        return builder.sitofp(wide, ir.VectorType(arguments[1].type, _COLOUR))

    return Colour(zero)(pixels, zero), generate


@intrinsic
@no_type_check
def sum_of_eight(typing_context, pixels, count, zero):
    """Sum the first ``count`` of eight pixels to a colour of the type of ``zero``."""

    @no_type_check
    def generate(context, builder, signature, arguments):
        kept = builder.and_(arguments[0], _mask(builder, arguments[0].type, EIGHT, arguments[1]))
        sums = _sums_by_sad if "+avx2" in context.codegen().magic_tuple()[2] else _sums_by_halves
        return builder.sitofp(sums(builder, kept), ir.VectorType(arguments[2].type, _COLOUR))

    return Colour(zero)(pixels, types.int64, zero), generate


@no_type_check
def _sums_by_sad(builder, pixels):
    """Move the eight bytes of each channel next to each other; one instruction sums them."""
    none = ir.Constant(pixels.type, [0] * OVER)
    lanes = [3 * n + c for c in range(3) for n in range(EIGHT)] + [OVER] * EIGHT
    planes = builder.shuffle_vector(pixels, none, ir.Constant(ir.VectorType(_INDEX, OVER), lanes))
    kind = ir.FunctionType(ir.VectorType(_LONG, _COLOUR), [pixels.type] * 2)
    differ = cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.avx2.psad.bw")
    return builder.trunc(builder.call(differ, [planes, none]), ir.VectorType(_INDEX, _COLOUR))


@no_type_check
def _sums_by_halves(builder, pixels):
    """Add the second half of the pixels to the first, and again, until one is left."""
    sums, held = builder.zext(pixels, ir.VectorType(_SUM, OVER)), EIGHT
    while held > 1:
        held //= 2
        first = list(range(3 * held))
        sums = builder.add(_pick(builder, sums, first), _pick(builder, sums, [n + 3 * held for n in first]))
    return builder.zext(_pick(builder, sums, [0, 1, 2, 0]), ir.VectorType(_INDEX, _COLOUR))


@intrinsic
@no_type_check
def five_pixels(typing_context, line, at, count):
    """Read the first ``count`` of five pixels from index ``at`` of a flat array of reals; 16 must be readable."""

    @no_type_check
    def generate(context, builder, signature, arguments):
        real = context.get_data_type(signature.args[0].dtype)
        bits = ir.VectorType(ir.IntType(8 * context.get_abi_sizeof(real)), _REALS)
        loaded = _load(builder, _place(context, builder, signature, arguments), bits)
        kept = builder.and_(loaded, _mask(builder, bits, FIVE, arguments[2]))
        return builder.bitcast(kept, ir.VectorType(real, _REALS))

    return Line(line.dtype)(line, at, count), generate


@intrinsic
@no_type_check
def one_pixel(typing_context, address, zero):
    """Read one pixel from an address, as reals of the type of ``zero``; 4 bytes must be readable."""

    @no_type_check
    def generate(context, builder, signature, arguments):
        loaded = _load(builder, arguments[0], ir.VectorType(_BYTE, _COLOUR))
        wide = builder.zext(loaded, ir.VectorType(_INDEX, _COLOUR))
        return builder.sitofp(wide, ir.VectorType(arguments[1].type, _COLOUR))

    return Colour(zero)(address, zero), generate


@intrinsic
@no_type_check
def get(typing_context, colours, at):
    """Read a colour from index ``at`` of a flat array of reals; four must be readable."""

    @no_type_check
    def generate(context, builder, signature, arguments):
        real = context.get_data_type(signature.args[0].dtype)
        return _load(builder, _place(context, builder, signature, arguments), ir.VectorType(real, _COLOUR))

    return Colour(colours.dtype)(colours, at), generate


@intrinsic
@no_type_check
def get_apart(typing_context, planes, at, apart):
    """Read a colour from index ``at`` of a flat array of reals, in which channels are a given distance apart."""

    @no_type_check
    def generate(context, builder, signature, arguments):
        real = context.get_data_type(signature.args[0].dtype)
        colour = ir.Constant(ir.VectorType(real, _COLOUR), [0.0] * _COLOUR)
        for n, place in enumerate(_places_apart(context, builder, signature, arguments)):
            colour = builder.insert_element(colour, builder.load(place), _INDEX(n))
        return colour

    return Colour(planes.dtype)(planes, types.int64, types.int64), generate


@intrinsic
@no_type_check
def put_apart(typing_context, planes, at, apart, colour):
    """Write a colour to where `get_apart` would read it."""

    @no_type_check
    def generate(context, builder, signature, arguments):
        for n, place in enumerate(_places_apart(context, builder, signature, arguments)):
            builder.store(builder.extract_element(arguments[3], _INDEX(n)), place)
        return context.get_dummy_value()

    return types.void(planes, types.int64, types.int64, colour), generate


@no_type_check
def _places_apart(context, builder, signature, arguments):
    place = _place(context, builder, signature, arguments)
    steps = [builder.mul(arguments[2], arguments[2].type(n)) for n in range(3)]
    return [builder.gep(place, [step]) for step in steps]


@intrinsic
@no_type_check
def plus(typing_context, one, other):
    """Add two vectors of one type."""

    @no_type_check
    def generate(context, builder, signature, arguments):
        return builder.fadd(*arguments, flags=("contract",))

    return one(one, other), generate


@intrinsic
@no_type_check
def minus(typing_context, one, other):
    """Subtract a colour from another."""

    @no_type_check
    def generate(context, builder, signature, arguments):
        return builder.fsub(*arguments, flags=("contract",))

    return one(one, other), generate


@intrinsic
@no_type_check
def plus_times(typing_context, total, factor, colour):
    """Add ``factor`` times a colour to another."""

    @no_type_check
    def generate(context, builder, signature, arguments):
        total, factor, colour = arguments
        one = builder.insert_element(ir.Constant(colour.type, ir.Undefined), factor, _INDEX(0))
        product = builder.fmul(_pick(builder, one, [0] * _COLOUR), colour, flags=("contract",))
        return builder.fadd(total, product, flags=("contract",))

    return total(total, total.dtype, colour), generate


@intrinsic
@no_type_check
def channel(typing_context, colour, number):
    """Return one channel of a colour."""

    @no_type_check
    def generate(context, builder, signature, arguments):
        return builder.extract_element(*arguments)

    return colour.dtype(colour, number), generate


@intrinsic
@no_type_check
def sum_of_five(typing_context, line):
    """Sum five pixels, channel by channel, to a colour."""

    @no_type_check
    def generate(context, builder, signature, arguments):
        return _sum_of_five(builder, arguments[0], lambda *both: builder.fadd(*both, flags=("contract",)))

    return Colour(line.dtype)(line), generate


@no_type_check
def _sum_of_five(builder, vector, add):
    """Sum lanes n, n + 3, ... n + 12 of 16, of which the last is zero."""
    a, b, c, d, e = (_pick(builder, vector, [n, n + 1, n + 2, _REALS - 1]) for n in range(0, 3 * FIVE, 3))
    return add(add(add(a, b), add(c, d)), e)


@no_type_check
def _pick(builder, vector, lanes):
    return builder.shuffle_vector(vector, vector, ir.Constant(ir.VectorType(_INDEX, len(lanes)), lanes))


@no_type_check
def _place(context, builder, signature, arguments):
    """Return a pointer to an element of a flat array, given by the first two arguments."""
    data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
    return builder.gep(data, [arguments[1]])


@no_type_check
def _load(builder, place, vector):
    """Read a vector from an unaligned pointer or address."""
    cast = builder.bitcast if place.type.is_pointer else builder.inttoptr
    loaded = builder.load(cast(place, vector.as_pointer()))
    loaded.align = 1
    return loaded


@no_type_check
def _mask(builder, vector, pixels, count):
    """Return all ones in the lanes of the first ``count`` of some pixels, and zeros in the others."""
    rows = [
        ir.Constant(vector, [-(lane < 3 * kept) for lane in range(vector.count)])
        for kept in range(pixels + 1)
    ]
    table = ir.Constant(ir.ArrayType(vector, len(rows)), rows)
    place = cgutils.global_constant(builder.module, f"first_of_{pixels}_pixels", table)
    return builder.load(builder.gep(place, [count.type(0), count]))
