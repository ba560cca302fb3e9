"""Memory for time: parts of a network whose activations are computed again in backward."""

from ..autograd import checkpoint, checkpoint_sequential

__all__ = ["checkpoint", "checkpoint_sequential"]
