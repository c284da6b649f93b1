"""Kernels as prepared calls on fixed buffers, in parts for several threads, each with its own workspace."""
