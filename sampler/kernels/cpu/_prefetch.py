"""Loads a cache line before it is needed: LLVM's prefetch, for kernels that read distant memory."""

from typing import Any, no_type_check

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

_BYTE, _WORD = ir.IntType(8).as_pointer(), ir.IntType(32)


@intrinsic
@no_type_check
def prefetch(_typing_context: Any, array: Any, index: Any) -> Any:
    """Begin to load ``array[index]``, an element of a one-dimensional array; harmless if there is none."""

    @no_type_check
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        _begin(builder, builder.bitcast(builder.gep(data, [arguments[1]]), _BYTE))
        return context.get_dummy_value()

    return types.void(array, index), generate


@intrinsic
@no_type_check
def prefetch_address(_typing_context: Any, address: Any) -> Any:
    """Begin to load the cache line at an address, which need not be valid."""

    @no_type_check
    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        _begin(builder, builder.inttoptr(arguments[0], _BYTE))
        return context.get_dummy_value()

    return types.void(address), generate


def _begin(builder: Any, place: Any) -> None:
    kind = ir.FunctionType(ir.VoidType(), [_BYTE, _WORD, _WORD, _WORD])
    function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")  # type: ignore[no-untyped-call]
    read, keep, is_data = _WORD(0), _WORD(3), _WORD(1)
    builder.call(function, [place, read, keep, is_data])
