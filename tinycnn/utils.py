"""Where PyTorch keeps its data sets and loaders: `tinycnn.utils.data` is `tinycnn.data`."""

from . import data

__all__ = ["data"]
