"""Array kernels: what the engine computes, with no idea of tensors or gradients.

Three sets of the same functions live here, one folder each:

* `reference` - array code written once for NumPy and CuPy, for reading (plus `loops`, the six-loop convolution);
* `cpu` - Numba kernels, for speed on a CPU;
* `cuda` - raw CUDA kernels, for speed on a GPU.

A set other than `reference` may be incomplete: what it lacks is taken from `reference`. No module in this folder knows
anything of tinycnn; `tinycnn.backend` picks the set and calls it. The names and shapes they share are listed in
`reference/__init__.py`.
"""
