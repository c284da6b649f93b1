"""``compile``: a function is captured once as a flat program, which later calls replay in preallocated memory.

`compiled` decides how to handle a call. The signature of its `arguments` is the key of one or several programs; the first one
whose guard holds is replayed. If there is none, the function runs once as written while `trace` captures it: ops, effects and
draws become `steps` on values. `state` records the Python state that the run reads, found through the `names` in the code that
runs. `memory` decides which steps are needed, and places their results in one arena. `codegen` writes the plan as a Python
function (`source`) that also builds the `results`. `program` keeps this function with its guard: a `guard` is one condition
that all reads are unchanged (`same`). Some later calls are captured again, and an `audit` compares their steps with those of
the program. If a captured run fails, `undo` restores what it changed.
"""

from .compiled import Compiled, compile
from .program import Program
from .steps import CaptureError

__all__ = ["CaptureError", "Compiled", "Program", "compile"]
