"""Convolution and its adjoints, by several methods, each the fastest for some shapes."""
