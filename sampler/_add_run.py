"""Add one row of a footprint to its sums: a run of cells in one vector register, which no loop over channels becomes."""

# ruff: noqa: PLR0917 - as the intrinsic's typing has it
from typing import Any, no_type_check

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from foveal.sampler._footprint import READ_CELLS

_LANES = 8  # bytes read at once: red, green, blue of two neighbouring pixels, and two more bytes that nobody looks at
_INDEX = ir.IntType(32)


@intrinsic
@no_type_check
def add_run(
    _typing_context: Any,
    source: Any,
    at: Any,
    step: Any,
    last: Any,
    inside: Any,
    j: Any,
    share: Any,
    change: Any,
    sums: Any,
) -> Any:
    """Read the eight bytes at ``source[at + k * step]`` for each cell k and add them, weighted, to ``sums[j]``, (3, 8).

    With R the sum over k of ``inside[k, j]`` times cell k: R ``share`` goes to the first row; the difference between
    cell ``last`` and cell 0, times ``share``, to the second; R ``change`` to the third.
    """

    @no_type_check
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        arrays = [context.make_array(signature.args[n])(context, builder, arguments[n]) for n in (0, 4, 8)]
        source, inside, sums = arrays
        at, step, last, j = (arguments[n] for n in (1, 2, 3, 5))
        row = ir.VectorType(context.get_data_type(signature.args[8].dtype), _LANES)

        def read(place: Any) -> Any:
            loaded = builder.load(
                builder.bitcast(
                    builder.gep(source.data, [place]), ir.VectorType(ir.IntType(8), _LANES).as_pointer()
                )
            )
            loaded.align = 1
            return builder.sitofp(builder.zext(loaded, ir.VectorType(_INDEX, _LANES)), row)

        def weigh(scalar: Any, vector: Any) -> Any:
            one = builder.insert_element(ir.Constant(row, ir.Undefined), scalar, ir.Constant(_INDEX, 0))
            every = builder.shuffle_vector(one, one, ir.Constant(ir.VectorType(_INDEX, _LANES), [0] * _LANES))
            return builder.fmul(every, vector, flags=("contract",))

        def add_to(number: int, vector: Any) -> Any:
            place = builder.gep(first_sum, [ir.Constant(_INDEX, number)])
            before = builder.load(place)
            before.align = sums_align
            builder.store(builder.fadd(before, vector, flags=("contract",)), place).align = sums_align

        sums_align = context.get_abi_alignment(row.element)
        first_sum = builder.bitcast(
            builder.gep(sums.data, [builder.mul(j, ir.Constant(j.type, 3 * _LANES))]), row.as_pointer()
        )
        width = builder.extract_value(inside.shape, 1)
        cells, place, weight_at = [], at, j
        run = None
        for _ in range(READ_CELLS):
            cells.append(read(place))
            part = weigh(builder.load(builder.gep(inside.data, [weight_at])), cells[-1])
            run = part if run is None else builder.fadd(run, part, flags=("contract",))
            place, weight_at = builder.add(place, step), builder.add(weight_at, width)
        edge = builder.fsub(read(builder.add(at, builder.mul(last, step))), cells[0])
        add_to(0, weigh(arguments[6], run))
        add_to(1, weigh(arguments[6], edge))
        add_to(2, weigh(arguments[7], run))
        return context.get_dummy_value()

    return types.void(source, at, step, last, inside, j, share, change, sums), generate
