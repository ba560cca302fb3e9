"""Optimisers: what turns gradients into steps. Each updates its parameters in place."""

from .optimizer import Optimizer
from .sgd import SGD

__all__ = ["SGD", "Optimizer"]
