"""Convolution and its adjoints, in several ways of which each is the fastest for some shapes."""
