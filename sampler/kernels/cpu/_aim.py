"""Computes where the runs of footprints in a source row begin and end, for eight footprints at once."""

# ruff: noqa: ANN001, ANN202, ARG001, PLR0917 - numba reads the signatures of intrinsics, by place and by name
from typing import Any, no_type_check

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

TOGETHER = 8  # footprints that are computed together
_INDEX, _PLACE = ir.IntType(32), ir.IntType(64)
_INDICES = ir.VectorType(_INDEX, TOGETHER)


@intrinsic
@no_type_check
def aim(typing_context, box, lies, j, number, origin, size, at, part, into):
    """Compute the runs of source row ``number`` of footprints ``j`` to ``j + 7``.

    Args:
        typing_context: The compiler's context.
        box: (5, W): where each footprint begins in its first row, in [0, 1); where it ends, from that row's upper edge on;
            where the first row's run begins; how long a run is; by how much it begins further right than that of the row above.
        lies: (3, W), int32; its first row is the number of each footprint's first source row, which may lie outside the
            image.
        j: Number of a footprint.
        number: Number of the row within the footprints, from 0.
        origin: Number of the topmost image row that is read.
        size: Height and width of the image.
        at: (3, all), int32, an output: the byte at which a run begins, counted from row ``origin``; the byte at which its
            last pixel begins; the number of pixels before the last. Beyond the image's border the border pixel is repeated.
        part: (3, all), an output: by how much the first pixel counts less, how much the last one counts, and which part
            of the row counts: 0 for a row that the footprint does not have.
        into: Position in both, along ``all``.
    """

    @no_type_check
    def generate(context, builder, signature, arguments):
        box, lies, at, part = (_Rows(context, builder, signature.args[n], arguments[n]) for n in (0, 1, 6, 7))
        j, number, origin, into = (arguments[n] for n in (2, 3, 4, 8))
        height, width = (builder.extract_value(arguments[5], n) for n in (0, 1))
        reals = _Eight(builder, box.element)
        top, bottom, left, across, lean = (box.read(row, j) for row in range(5))
        k = reals.same(builder.sitofp(number, reals.real))
        rightmost = reals.same(builder.sitofp(builder.sub(width, _INDEX(1)), reals.real))
        begin = builder.fadd(left, builder.fmul(k, lean, ("contract",)), ("contract",))
        column = reals.between(reals.floor(begin), rightmost)
        begin = builder.fsub(begin, column)
        end = builder.fadd(begin, across)
        last = reals.between(reals.floor(end), builder.fsub(rightmost, column))
        below = reals.least(bottom, builder.fadd(k, reals.number(1.0)))
        share = reals.most(builder.fsub(below, reals.most(top, k)), reals.number(0.0))
        row = builder.add(lies.read(0, j), reals.same(number))
        row = builder.sub(
            _clamped(builder, row, reals.same(builder.sub(height, _INDEX(1)))), reals.same(origin)
        )
        bytes_before = builder.mul(row, reals.same(builder.mul(width, _INDEX(3))))
        start = builder.add(bytes_before, reals.whole(builder.fmul(column, reals.number(3.0))))
        stop = builder.add(start, reals.whole(builder.fmul(last, reals.number(3.0))))
        for n, found in enumerate((start, stop, reals.whole(last))):
            at.write(n, into, found)
        for n, found in enumerate((builder.fneg(begin), builder.fsub(end, last), share)):
            part.write(n, into, found)
        return context.get_dummy_value()

    places = (types.int64, types.int32, types.int32, types.UniTuple(types.int32, 2))
    return types.void(box, lies, *places, at, part, types.int64), generate


class _Rows:
    """Load eight neighbours in a row of a two-dimensional array."""

    def __init__(self, context: Any, builder: Any, kind: Any, array: Any) -> None:
        made = context.make_array(kind)(context, builder, array)
        self.element = context.get_data_type(kind.dtype)
        self._builder, self._data = builder, made.data
        self._length = builder.extract_value(made.shape, 1)

    def read(self, row: int, place: Any) -> Any:
        loaded = self._builder.load(self._pointer(row, place, ir.VectorType(self.element, TOGETHER)))
        loaded.align = 4
        return loaded

    def write(self, row: int, place: Any, vector: Any) -> None:
        self._builder.store(vector, self._pointer(row, place, vector.type)).align = 4

    def _pointer(self, row: int, place: Any, vector: Any) -> Any:
        first = self._builder.mul(self._length, _PLACE(row))
        pointer = self._builder.gep(self._data, [self._builder.add(first, place)])
        return self._builder.bitcast(pointer, vector.as_pointer())


class _Eight:
    """Vectors of eight reals of one type."""

    def __init__(self, builder: Any, real: Any) -> None:
        self._builder = builder
        self.real, self.vector = real, ir.VectorType(real, TOGETHER)

    def number(self, value: float) -> Any:
        return ir.Constant(self.vector, [value] * TOGETHER)

    def same(self, value: Any) -> Any:
        """Eight times the same real or integer."""
        undefined = ir.Constant(ir.VectorType(value.type, TOGETHER), ir.Undefined)
        one = self._builder.insert_element(undefined, value, _INDEX(0))
        return self._builder.shuffle_vector(one, one, ir.Constant(_INDICES, [0] * TOGETHER))

    def least(self, one: Any, other: Any) -> Any:
        return self._builder.select(self._builder.fcmp_ordered("<", one, other), one, other)

    def most(self, one: Any, other: Any) -> Any:
        return self._builder.select(self._builder.fcmp_ordered(">", one, other), one, other)

    def between(self, value: Any, most: Any) -> Any:
        """The value, but at least 0 and at most ``most``."""
        return self.most(self.least(value, most), self.number(0.0))

    def whole(self, value: Any) -> Any:
        return self._builder.fptosi(value, _INDICES)

    def floor(self, value: Any) -> Any:
        kind = ir.FunctionType(self.vector, [self.vector])
        bits = 32 if isinstance(self.real, ir.FloatType) else 64
        name, module = f"llvm.floor.v{TOGETHER}f{bits}", self._builder.module
        function = cgutils.get_or_insert_function(module, kind, name)  # type: ignore[no-untyped-call]
        return self._builder.call(function, [value])


def _clamped(builder: Any, value: Any, most: Any) -> Any:
    none = ir.Constant(_INDICES, [0] * TOGETHER)
    value = builder.select(builder.icmp_signed("<", value, most), value, most)
    return builder.select(builder.icmp_signed(">", value, none), value, none)
