"""NumPy in full: functions that make Tensors, those composed of ops, and what NumPy does when it is called on a Tensor.

Only creation is imported with the package. The rest is imported when a name of it is used, or NumPy is called on a Tensor.
"""
