"""Fast implementations of ops in NumPy and BLAS, on plain ndarrays, without Tensors or gradients."""
