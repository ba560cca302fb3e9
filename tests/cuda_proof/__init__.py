"""Proof of the CUDA kernels without a GPU: `runner` runs a `.cu` file on the CPU, `nvrtc` compiles it for GPUs."""
