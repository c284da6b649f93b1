"""Plain NumPy on ndarrays: what the heavy ops run. Nothing here knows of Tensors or gradients."""
