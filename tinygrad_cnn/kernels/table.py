"""Which kernel accelerates which op: one line an op.

``prepare(out, *inputs, **params)`` of a kernel returns a task, a function without arguments that computes what the op's
definition does, or None where the definition is good enough.
"""

from __future__ import annotations
