"""Loads a cache line before it is needed: LLVM's prefetch, for kernels that read distant memory."""

from typing import Any, no_type_check

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic


@intrinsic
@no_type_check
def prefetch(_typing_context: Any, array: Any, index: Any) -> Any:
    """Begin to load ``array[index]``, an element of a one-dimensional array; harmless if there is none."""

    @no_type_check
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        byte = ir.IntType(8).as_pointer()
        word = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, word, word, word])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        address = builder.bitcast(builder.gep(data, [arguments[1]]), byte)
        read, keep, is_data = word(0), word(3), word(1)
        builder.call(function, [address, read, keep, is_data])
        return context.get_dummy_value()

    return types.void(array, index), generate
