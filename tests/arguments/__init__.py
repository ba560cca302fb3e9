"""What every operation and layer is called with when it is compared with PyTorch: one table a family."""
