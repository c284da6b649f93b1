"""Random programs that assign to elements, drawn beside a model in NumPy, which knows what shares memory."""

from __future__ import annotations

import numpy as np

from tinygrad_cnn.core.versions import owner

KEYS = {
    0: [(), Ellipsis],
    1: [0, -1, slice(1, None), slice(None, None, 2), slice(None), Ellipsis, np.array([0, 0, 1]), [1, 0]],
    2: [0, -1, slice(1, None), (slice(None), 0), (0, 1), (slice(None), slice(None, None, 2)), Ellipsis, ([0, 1], [1, 0]),
        (slice(None), np.array([1, 0])), np.array([1, 1])],
}  # fmt: skip


def shares(a, b):
    """Whether the bytes of two arrays overlap; elements that alternate count, too."""
    return np.may_share_memory(a, b)


class Model:
    """The variables of a program as arrays. A stale one shares memory with one that was assigned to."""

    def __init__(self, arrays):
        self.arrays, self.stale = [np.array(a) for a in arrays], [False] * len(arrays)

    def add(self, array):
        self.arrays.append(np.asarray(array))
        self.stale.append(False)

    def assign(self, i):
        """The variable gets memory of its own; what uses the old memory is out of date."""
        old = self.arrays[i]
        self.stale = [
            s or (k != i and shares(a, old)) for k, (a, s) in enumerate(zip(self.arrays, self.stale, strict=True))
        ]
        self.arrays[i] = np.array(old, order="C")


def fits(array, key):
    """Whether it is an index of the array."""
    try:
        array[key]
    except IndexError:
        return False
    return True


def draw(choose, arrays, steps):
    """A program as a list of instructions, and which variables are out of date at its end.

    `choose` picks one of a list. The program begins with variables of these values. It uses none that is out of date.
    """
    model, program = Model(arrays), []
    for _ in range(steps):
        alive = [k for k, stale in enumerate(model.stale) if not stale]
        i = choose(alive)
        a = model.arrays[i]
        alike = [k for k in alive if model.arrays[k].shape == a.shape]
        kind = choose(
            ["mul", "sin", "index", "index", "reshape", "transpose", "copy", "detach", "set", "set", "add", "times"]
        )
        if kind in ("set", "add", "times"):
            key = choose([key for key in KEYS[a.ndim] if fits(a, key)])
            if kind != "set" and isinstance(a[key], np.ndarray) and owner(a[key]) is not owner(a):
                kind = "set"  # repeated indices add up in no library
            size = np.shape(a[key])
            j = choose([None, *(k for k in alive if model.arrays[k].shape in (size, ()))])
            program.append((kind, i, key, 0.75 if j is None else j))
            model.assign(i)
            continue
        if kind == "mul":
            program.append((kind, i, choose(alike)))
            model.add(a * 0)
        elif kind == "index":
            program.append((kind, i, key := choose([key for key in KEYS[a.ndim] if fits(a, key)])))
            model.add(a[key])
        elif kind == "reshape":
            program.append((kind, i))
            model.add(a.reshape(-1))
        elif kind == "transpose":
            program.append((kind, i))
            model.add(a.T)
        elif kind == "detach":
            program.append((kind, i))
            model.add(a.view())
        else:
            program.append((kind, i))
            model.add(a * 0)
    return program, model.stale


def index_set(x, key, value):
    import tinygrad_cnn as tg

    return tg.index_set(x, key, value)


def run(program, variables, put=None):
    """Run a program on Tensors. ``put(x, key, value)`` gives x with other elements; by default, x is assigned to."""
    variables = list(variables)
    for kind, i, *more in program:
        x = variables[i]
        if kind in ("set", "add", "times"):
            key, value = more[0], more[1] if isinstance(more[1], float) else variables[more[1]]
            if put is None:
                if kind == "set":
                    x[key] = value
                elif kind == "add":
                    x[key] += value
                else:
                    x[key] *= value
            else:
                variables[i] = put(
                    x, key, value if kind == "set" else x[key] + value if kind == "add" else x[key] * value
                )
        elif kind == "mul":
            variables.append(x * variables[more[0]])
        elif kind == "index":
            variables.append(x[more[0]])
        elif kind == "reshape":
            variables.append(x.reshape(-1))
        elif kind == "transpose":
            variables.append(x.T)
        elif kind == "detach":
            variables.append(x.detach())
        elif kind == "sin":
            variables.append(x.sin())
        else:
            variables.append(x.copy() if hasattr(x, "copy") else x.clone())
    return variables


def loss(program, stale, variables, put=None):
    """A number that every variable which is not out of date has a part in."""
    total = 0.0
    for k, (x, is_stale) in enumerate(zip(run(program, variables, put), stale, strict=True)):
        if not is_stale:
            total = total + (x * x).sum() * (0.1 + 0.05 * k)
    return total
