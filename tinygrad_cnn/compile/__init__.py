"""A function is captured once as a flat program, which later calls replay in planned memory: see :func:`compile`.

`compiled` decides what a call does. The form of its `arguments` is the key of one or several programs; the first of them whose
guard holds is replayed. If there is none, the call is a plain run that `trace` follows: it notes ops, effects and draws as
`steps` on values, while `state` finds the Python state that the run reads, by the `names` in the code that runs. `memory`
plans which steps are needed and where in one arena their results are. `codegen` writes the plan as a Python function (`source`)
that also makes the `results`. `program` keeps this function with its guard: a `guard` is one condition that all reads are
unchanged (`same`). Now and then a call is captured again, and an `audit` compares its steps with those of the program. If a
captured run fails, `undo` restores what it changed.
"""

from .compiled import Compiled, compile
from .program import Program
from .steps import CaptureError

__all__ = ["CaptureError", "Compiled", "Program", "compile"]
