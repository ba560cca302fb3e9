"""Every operation, a family a file. Importing this package gives Tensor its methods and operators."""

from __future__ import annotations

from types import FunctionType as _FunctionType
from typing import TYPE_CHECKING

from . import (
    activated as _activated,
    activation as _activation,
    arithmetic as _arithmetic,
    arrange as _arrange,
    broadcast as _broadcast,
    compare as _compare,
    conv as _conv,
    conv_relu as _conv_relu,
    convert as _convert,
    creation as _creation,
    dropout as _dropout,
    elementwise as _elementwise,
    indexing as _indexing,
    inplace as _inplace,
    join as _join,
    linalg as _linalg,
    loss as _loss,
    norm as _norm,
    norm_relu as _norm_relu,
    pool as _pool,
    reduce as _reduce,
    shape as _shape,
    windows as _windows,
)
from .activated import *  # noqa: F403
from .activation import *  # noqa: F403
from .arithmetic import *  # noqa: F403
from .arrange import *  # noqa: F403
from .broadcast import *  # noqa: F403
from .compare import *  # noqa: F403
from .conv import *  # noqa: F403
from .conv_relu import *  # noqa: F403
from .convert import *  # noqa: F403
from .creation import *  # noqa: F403
from .dropout import *  # noqa: F403
from .elementwise import *  # noqa: F403
from .indexing import *  # noqa: F403
from .join import *  # noqa: F403
from .keywords import with_pytorch_keywords
from .linalg import *  # noqa: F403
from .loss import *  # noqa: F403
from .norm import *  # noqa: F403
from .norm_relu import *  # noqa: F403
from .pool import *  # noqa: F403
from .reduce import *  # noqa: F403
from .registry import attach_methods
from .shape import *  # noqa: F403
from .windows import *  # noqa: F403

_FAMILIES = (
    _activated,
    _activation,
    _arithmetic,
    _arrange,
    _broadcast,
    _compare,
    _conv,
    _conv_relu,
    _convert,
    _creation,
    _dropout,
    _elementwise,
    _indexing,
    _inplace,
    _join,
    _linalg,
    _loss,
    _norm,
    _norm_relu,
    _pool,
    _reduce,
    _shape,
    _windows,
)

if not TYPE_CHECKING:  # type checkers read the lines above
    __all__ = sorted({name for family in _FAMILIES for name in family.__all__})
    for _name in __all__:
        if isinstance(globals()[_name], _FunctionType):
            globals()[_name] = with_pytorch_keywords(globals()[_name], name=_name)

attach_methods()
