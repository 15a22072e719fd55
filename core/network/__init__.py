"""The networks, their norms, and the optimizer of their kernels."""
