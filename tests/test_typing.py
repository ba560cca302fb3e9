"""What type checkers are told of Tensor is what it has."""

from __future__ import annotations

import ast
import inspect

from tinycnn.autograd import tensor
from tinycnn.ops.registry import method_names


def declared_under_type_checking() -> set[str]:
    """The methods that the block under TYPE_CHECKING in class Tensor declares."""
    (cls,) = (n for n in ast.parse(inspect.getsource(tensor)).body if getattr(n, "name", "") == "Tensor")
    (block,) = (n for n in cls.body if isinstance(n, ast.If))
    return {n.name for n in block.body if isinstance(n, ast.FunctionDef)}


def test_every_operator_is_declared_and_every_declaration_is_there():
    attached = {name for name in method_names() if name.startswith("__")}
    declared = {name for name in declared_under_type_checking() if name.startswith("__")} - {"__getattr__"}
    assert declared == attached
