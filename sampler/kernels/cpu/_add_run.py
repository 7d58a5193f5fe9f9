"""Add one row of a footprint to its sums: a run of cells in vector registers, which no loop over channels becomes.

All cells of a run but the first and the last lie inside as a whole. Those are summed as the integers that they are; cells
beyond the last are masked, because a loop of unknown length would be guessed wrong too often.
"""

# ruff: noqa: PLR0917 - as the intrinsic's typing has it
from collections.abc import Callable
from typing import Any, no_type_check

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from foveal.sampler.kernels._footprint import READ_CELLS

_LANES = 8  # bytes read at once: red, green, blue of two neighbouring pixels, and two more bytes that nobody looks at
_WHOLE = READ_CELLS - 1  # cells before the last
_INDEX = ir.IntType(32)
_BYTES, _SUMS, _WIDE = (ir.VectorType(kind, _LANES) for kind in (ir.IntType(8), ir.IntType(16), _INDEX))
_MASKS = [  # for each last cell, which come before it
    ir.Constant(_SUMS, [-1 if cell < last else 0] * _LANES)
    for last in range(_WHOLE + 1)
    for cell in range(_WHOLE)
]


@no_type_check
def _adds(edges: bool) -> Callable[..., Any]:  # noqa: C901 - small parts, of one run of instructions
    @intrinsic
    @no_type_check
    def add_run(
        _typing_context: Any, source: Any, at: Any, step: Any, last: Any, share: Any, j: Any, sums: Any
    ) -> Any:
        @no_type_check
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            arrays = [
                context.make_array(signature.args[n])(context, builder, arguments[n]) for n in (0, 4, 6)
            ]
            source, share, sums = arrays
            at, step, last, j = (arguments[n] for n in (1, 2, 3, 5))
            scalar = context.get_data_type(signature.args[6].dtype)
            row, align = ir.VectorType(scalar, _LANES), context.get_abi_alignment(scalar)
            table = ir.Constant(ir.ArrayType(_SUMS, len(_MASKS)), _MASKS)
            masks = cgutils.global_constant(builder.module, "cells_before_the_last", table)

            def read(place: Any) -> Any:
                first = builder.bitcast(builder.gep(source.data, [place]), _BYTES.as_pointer())
                loaded = builder.load(first)
                loaded.align = 1
                return builder.zext(loaded, _SUMS)

            def as_real(cell: Any) -> Any:
                return builder.sitofp(builder.zext(cell, _WIDE), row)

            def before_the_last(number: int, cell: Any) -> Any:
                of_last = builder.mul(last, last.type(_WHOLE))
                mask = builder.gep(masks, [last.type(0), builder.add(of_last, last.type(number))])
                return builder.and_(cell, builder.load(mask))

            def times(number: int, vector: Any) -> Any:
                place = builder.add(j, builder.mul(builder.extract_value(share.shape, 1), j.type(number)))
                factor = builder.load(builder.gep(share.data, [place]))
                one = builder.insert_element(ir.Constant(row, ir.Undefined), factor, _INDEX(0))
                every = builder.shuffle_vector(one, one, ir.Constant(_WIDE, [0] * _LANES))
                return builder.fmul(every, vector, flags=("contract",))

            def add_to(number: int, vector: Any) -> Any:
                which = builder.add(j, builder.mul(builder.extract_value(sums.shape, 1), j.type(number)))
                place = builder.gep(sums.data, [builder.mul(which, j.type(_LANES))])
                place = builder.bitcast(place, row.as_pointer())
                before = builder.load(place)
                before.align = align
                builder.store(builder.fadd(before, vector, flags=("contract",)), place).align = align

            cells, place = [], at
            for _ in range(_WHOLE):
                cells.append(read(place))
                place = builder.add(place, step)
            whole = ir.Constant(_SUMS, [0] * _LANES)
            for number, cell in enumerate(cells):
                whole = builder.add(whole, before_the_last(number, cell))
            start = as_real(cells[0])
            end = as_real(read(builder.add(at, builder.mul(last, step))))
            run = builder.fsub(as_real(whole), times(2, start), flags=("contract",))
            run = builder.fadd(run, times(3, end), flags=("contract",))
            add_to(0, times(0, run))
            if edges:
                add_to(1, times(0, builder.fsub(end, start)))
                add_to(2, times(1, run))
            return context.get_dummy_value()

        return types.void(source, at, step, last, share, j, sums), generate

    return add_run


add_run = _adds(edges=False)
"""Read the eight bytes at ``source[at + k * step]``, cell k, and add the run, weighted, to ``sums[0, j]``, 8 numbers.

The run: the sum of the cells before cell ``last``, less ``share[2, j]`` of cell 0, and ``share[3, j]`` of cell ``last``. It is
added ``share[0, j]`` times.
"""

add_run_and_edges = _adds(edges=True)
"""The same; and to ``sums[1, j]`` ``share[0, j]`` times what cell ``last`` has over cell 0; to ``sums[2, j]``
``share[1, j]`` times the run."""
