"""What one adds to the library: each part is imported when it is used, and can be deleted alone.

Nothing outside this folder imports from it, but the aliases ``tinygrad_cnn.onnx``, ``tinygrad_cnn.distributed`` and so on.
"""
