"""NVIDIA GPUs: CuPy arrays. CuPy is imported only when CUDA is asked for; nothing here fails where it is missing.

status.py    what is there, and why CUDA can or cannot be used
backend.py   CudaBackend: one device
checks.py    mistakes that only the device can see, raised when something is read from it
memory.py    what arrays take, the most they took, and what to do when there is no more
random.py    random numbers: a state of two integers
streams.py   queues of work, events in them, batches sent ahead
graph.py     a step captured once and replayed
"""

from .backend import CudaBackend
from .memory import OutOfMemoryError
from .status import cuda_status, device_count

__all__ = ["CudaBackend", "OutOfMemoryError", "cuda_status", "device_count"]
