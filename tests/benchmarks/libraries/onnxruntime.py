"""onnxruntime, on files of ONNX. Its threads belong to a session, so there is a session for each number of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import onnxruntime

from ..problems import Problem

_threads = 0  # as many as it likes


def set_threads(count: int) -> None:
    """So many threads from the next call on."""
    global _threads
    _threads = count


def onnx_file(p: Problem) -> Callable[[], Any]:
    """One call of the model in a file."""
    sessions: dict[int, Any] = {}

    def run() -> Any:
        if _threads not in sessions:
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = _threads
            data = p.weights[0].tobytes()
            sessions[_threads] = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        session = sessions[_threads]
        return session.run(None, {session.get_inputs()[0].name: p.x})[0]

    return run
