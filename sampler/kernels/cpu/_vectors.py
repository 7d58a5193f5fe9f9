"""Vectors in numba's functions: sums over several pixels, and over the channels of one, which no loop would become.

Three types, each one value of LLVM's that lives in vector registers:

* ``Lanes``: 32 integers of 16 bits, the channels of ten pixels and two that are always zero. Sums of up to 25 such
  vectors may be summed over their pixels.
* ``Line``: 16 reals, the channels of five pixels and one that is always zero.
* ``Colour``: 4 reals, the channels of one pixel and one that means nothing.
"""

# ruff: noqa: ANN001, ANN202, ARG001 - numba reads the signatures of intrinsics, by place and by name
from typing import Any, no_type_check

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model

TEN, FIVE = 10, 5
_LANES, _REALS, _COLOUR = 32, 16, 4
_BYTE, _SUM, _INDEX = ir.IntType(8), ir.IntType(16), ir.IntType(32)


class Lanes(types.Type):
    """The channels of ten pixels, as integers."""

    def __init__(self) -> None:
        super().__init__("Lanes")


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


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, dmm: Any, fe_type: Any) -> None:
        super().__init__(dmm, fe_type, ir.VectorType(_SUM, _LANES))  # type: ignore[no-untyped-call]


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
def no_lanes(typing_context):
    """Return lanes of zero."""

    @no_type_check
    def generate(context, builder, signature, arguments):
        return ir.Constant(ir.VectorType(_SUM, _LANES), [0] * _LANES)

    return Lanes()(), generate


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
def ten_pixels(typing_context, address, count):
    """Read the first ``count`` of ten pixels, from an address on; 32 bytes have to be there."""

    @no_type_check
    def generate(context, builder, signature, arguments):
        loaded = _load(builder, arguments[0], ir.VectorType(_BYTE, _LANES))
        wide = builder.zext(loaded, ir.VectorType(_SUM, _LANES))
        return builder.and_(wide, _mask(builder, wide.type, TEN, arguments[1]))

    return Lanes()(address, count), generate


@intrinsic
@no_type_check
def five_pixels(typing_context, line, at, count):
    """Read the first ``count`` of five pixels, from place ``at`` of a flat array of reals on; 16 have to be there."""

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
    """Read one pixel, from an address on, as reals of the type of ``zero``; 4 bytes have to be there."""

    @no_type_check
    def generate(context, builder, signature, arguments):
        loaded = _load(builder, arguments[0], ir.VectorType(_BYTE, _COLOUR))
        wide = builder.zext(loaded, ir.VectorType(_INDEX, _COLOUR))
        return builder.sitofp(wide, ir.VectorType(arguments[1].type, _COLOUR))

    return Colour(zero)(address, zero), generate


@intrinsic
@no_type_check
def ask_for(typing_context, address):
    """Begin to load the cache line at an address, which need not be there."""

    @no_type_check
    def generate(context, builder, signature, arguments):
        kind = ir.FunctionType(ir.VoidType(), [_BYTE.as_pointer(), _INDEX, _INDEX, _INDEX])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        read, keep, is_data = _INDEX(0), _INDEX(3), _INDEX(1)
        builder.call(function, [builder.inttoptr(arguments[0], _BYTE.as_pointer()), read, keep, is_data])
        return context.get_dummy_value()

    return types.void(address), generate


@intrinsic
@no_type_check
def get(typing_context, colours, at):
    """Read a colour, from place ``at`` of a flat array of reals on; four have to be there."""

    @no_type_check
    def generate(context, builder, signature, arguments):
        real = context.get_data_type(signature.args[0].dtype)
        return _load(builder, _place(context, builder, signature, arguments), ir.VectorType(real, _COLOUR))

    return Colour(colours.dtype)(colours, at), generate


@intrinsic
@no_type_check
def put(typing_context, colours, at, colour):
    """Write a colour, from place ``at`` of a flat array of reals on."""

    @no_type_check
    def generate(context, builder, signature, arguments):
        place = _place(context, builder, signature, arguments)
        builder.store(arguments[2], builder.bitcast(place, arguments[2].type.as_pointer())).align = 1
        return context.get_dummy_value()

    return types.void(colours, at, colour), generate


@intrinsic
@no_type_check
def plus(typing_context, one, other):
    """Add two vectors of one type."""

    @no_type_check
    def generate(context, builder, signature, arguments):
        if isinstance(signature.args[0], Lanes):
            return builder.add(*arguments)
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
def sum_of_ten(typing_context, lanes, zero):
    """Sum ten pixels, channel by channel, to a colour of the type of ``zero``."""

    @no_type_check
    def generate(context, builder, signature, arguments):
        lanes, first = arguments[0], list(range(3 * FIVE))
        halves = [
            _pick(builder, lanes, [*half, _LANES - 1]) for half in (first, [n + 3 * FIVE for n in first])
        ]
        pixels = _sum_of_five(builder, builder.add(*halves), builder.add)
        return builder.uitofp(pixels, ir.VectorType(arguments[1].type, _COLOUR))

    return Colour(zero)(lanes, zero), generate


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
    """Return a pointer to a place of a flat array, the first two of the arguments."""
    data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
    return builder.gep(data, [arguments[1]])


@no_type_check
def _load(builder, place, vector):
    """Read a vector from a pointer, or from an address, that is aligned to nothing."""
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
