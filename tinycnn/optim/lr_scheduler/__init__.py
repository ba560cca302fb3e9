"""Learning-rate schedulers: what sets the "lr" of an optimiser's groups from epoch to epoch, or from step to step.

Make one on an optimiser, then call `step()` once an epoch (or a batch), after the optimiser's steps.
"""

from .base import LRScheduler
from .curves import ConstantLR, CosineAnnealingLR, ExponentialLR, LinearLR, MultiStepLR, PolynomialLR, StepLR
from .lambdas import LambdaLR
from .one_cycle import OneCycleLR
from .plateau import ReduceLROnPlateau
from .sequential import SequentialLR
from .warm_restarts import CosineAnnealingWarmRestarts

__all__ = [
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "ExponentialLR",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "OneCycleLR",
    "PolynomialLR",
    "ReduceLROnPlateau",
    "SequentialLR",
    "StepLR",
]

# They are of this module wherever they are written: code that takes both schedulers and plain functions tells them
# apart by `scheduler.__module__ == lr_scheduler.__name__`.
for _name in __all__:
    globals()[_name].__module__ = __name__
