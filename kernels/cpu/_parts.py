"""From the loop that a kernel is written as to a function that does any part of it.

A kernel reads as a function with one outer loop over jobs:

    def double(x, y, jobs):
        for job in prange(jobs):
            ...

and compiled is this, made from its source, so that one compilation serves one thread and many:

    def double(_part, _parts, x, y, jobs):
        if _part < 0:
            _keep(_parts, (x, y, jobs))
            return
        for job in range(_part * jobs // _parts, (_part + 1) * jobs // _parts):
            ...

`double(0, 1, x, y, jobs)` does all jobs. `double(-1, address, x, y, jobs)` does none: it writes down its arguments, as
numbers, at an address, and before them the address of a function that, given the number of a part, reads them back and
does that part. This function takes numbers alone, so one loop over threads, compiled once, runs the parts of all
kernels (`_on_threads` in `_jit.py`). Numba's own `parallel=True` would compile each kernel's loop into a function
apart, which takes three times as long.
"""

from __future__ import annotations

import ast
import copy
import functools
import pathlib
from types import FunctionType
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

MOST_NUMBERS = 192  # that the arguments of a kernel may come to; an array of n axes is 5 + 2n
_INT = ir.IntType(64)


def in_parts(function: FunctionType) -> FunctionType:
    """The function of (part, parts, *arguments) that a kernel's source stands for."""
    code = function.__code__
    definition = _definition(code.co_filename, function.__name__, code.co_firstlineno)
    names = [argument.arg for argument in definition.args.args]
    definition.decorator_list, definition.returns = [], None
    for argument in definition.args.args:
        argument.annotation = None
    definition.args.args[:0] = [ast.arg("_part"), ast.arg("_parts")]
    _Prange().visit(definition)
    definition.body[:0] = ast.parse(f"if _part < 0:\n    _keep(_parts, ({', '.join(names)},))\n    return").body
    # `_keep` is a name of the function around it, since the names of a kernel are looked up in the kernel's own module.
    around = ast.parse("def make(_keep):\n    pass")
    assert isinstance(around.body[0], ast.FunctionDef)
    around.body[0].body = [definition, *ast.parse(f"return {function.__name__}").body]
    found: dict[str, Any] = {}
    exec(compile(ast.fix_missing_locations(around), code.co_filename, "exec"), function.__globals__, found)
    made: FunctionType = found["make"](keep)
    made.__qualname__, made.__doc__ = function.__qualname__, function.__doc__
    return made


@functools.cache
def _tree(file: str) -> ast.Module:
    return ast.parse(pathlib.Path(file).read_text(encoding="utf-8"))


def _definition(file: str, name: str, line: int) -> ast.FunctionDef:
    """A copy of a function's own piece of the file's tree."""
    for node in _tree(file).body:
        if isinstance(node, ast.FunctionDef) and node.name == name and node.decorator_list[0].lineno == line:
            return copy.deepcopy(node)
    raise ValueError(f"{file}: no function {name} begins in line {line}; a kernel stands at the top of a module")


class _Prange(ast.NodeTransformer):
    """prange(n) -> range(_part * n // _parts, (_part + 1) * n // _parts)"""

    def visit_Call(self, node: ast.Call) -> ast.expr:
        if not (isinstance(node.func, ast.Name) and node.func.id == "prange"):
            return node
        count = ast.unparse(node.args[0])
        text = f"range(_part * ({count}) // _parts, (_part + 1) * ({count}) // _parts)"
        return ast.parse(text, mode="eval").body


@intrinsic  # type: ignore[untyped-decorator]
def keep(context: Any, address: Any, arguments: Any) -> Any:
    """Write a function, and the arguments for it, to an address; see above.

    The numbers there: the function, the number of parts (which is for others to fill in), the arguments.
    """
    kinds = tuple(arguments.types)

    def write(target: Any, builder: Any, _: Any, values: Any) -> Any:
        packer = target.get_arg_packer(kinds)
        if len(packer.argument_types) + 2 > MOST_NUMBERS:
            raise ValueError(f"a kernel's arguments come to more than {MOST_NUMBERS} numbers")
        given = cgutils.unpack_tuple(builder, values[1], len(kinds))
        borrowed = [_borrowed(target, builder, *pair) for pair in zip(kinds, given, strict=True)]
        numbers = packer.as_arguments(builder, borrowed)
        function = _part_function(target, builder.module, builder.function, kinds, packer)
        _store(builder, values[0], 0, builder.ptrtoint(function, _INT))
        for i, number in enumerate(numbers):
            _store(builder, values[0], i + 2, number)
        return target.get_dummy_value()

    return types.void(types.int64, arguments), write


def _borrowed(target: Any, builder: Any, kind: Any, value: Any) -> Any:
    """An array as if nobody owned it: the one who owns it outlives the launch, not the call that writes it down."""
    if not isinstance(kind, types.Array):
        return value
    array = target.make_array(kind)(target, builder, value=value)
    for name in ("meminfo", "parent"):
        setattr(array, name, cgutils.get_null_value(getattr(array, name).type))
    return array._getvalue()


def _store(builder: Any, address: Any, index: int, value: Any) -> None:
    place = builder.add(address, ir.Constant(_INT, 8 * index))
    builder.store(value, builder.inttoptr(place, value.type.as_pointer()))


def _part_function(target: Any, module: Any, whole: Any, kinds: tuple[Any, ...], packer: Any) -> Any:
    """f(part, thread, address): calls `whole` with the arguments that `keep` has left there."""
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [_INT] * 3), f"{whole.name}.part")
    function.linkage = "internal"
    part, _, address = function.args
    builder = ir.IRBuilder(function.append_basic_block("start"))

    def load(index: int, kind: Any) -> Any:
        place = builder.add(address, ir.Constant(_INT, 8 * index))
        return builder.load(builder.inttoptr(place, kind.as_pointer()))

    parts = load(1, _INT)
    numbers = [load(i + 2, kind) for i, kind in enumerate(packer.argument_types)]
    arguments = [part, parts, *packer.from_arguments(builder, numbers)]
    target.call_conv.call_function(builder, whole, types.none, (types.int64, types.int64, *kinds), arguments)
    builder.ret_void()
    return function


__all__ = ["MOST_NUMBERS", "in_parts"]
