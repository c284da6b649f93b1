"""The loss of a recurrent network whose weights are diagonal, on a text in bits: the next character from each.

A layer has a row of weights and one of biases, each for the forget, input and output gate and for the change. The forget and
the output gate see the layer's input, the others its hidden state.
"""

from __future__ import annotations

import numpy as np

import tinygrad_cnn as tg

from ..function import Function


def objective(main, extra, state, sequence):
    """A layer is one character behind the layer below, so all take a step at once."""
    layers, width = main.shape[0] // 2, extra.shape[1]
    gates = main.reshape(layers, 2, 4, width)
    weights, biases = (tg.unstack(gates[:, i], axis=1) for i in range(2))
    start = state.reshape(layers, 2, width)
    hidden, cell = start[:, 0], start[:, 1]
    inputs = tg.unstack((sequence[:-1] * extra[0])[:, None])
    tops = []
    for t in range(len(inputs) + layers - 1):
        given = tg.concatenate([inputs[min(t, len(inputs) - 1)], hidden[:-1]])
        forget, out = tg.sigmoid(given * weights[0] + biases[0]), tg.sigmoid(given * weights[2] + biases[2])
        gate, change = tg.sigmoid(hidden * weights[1] + biases[1]), tg.tanh(hidden * weights[3] + biases[3])
        cell = cell * forget + gate * change
        hidden = out * tg.tanh(cell)
        if t < layers - 1:  # the layers above t have not begun
            hidden, cell = (tg.concatenate([y[: t + 1], start[t + 1 :, i]]) for i, y in enumerate((hidden, cell)))
        else:
            tops.append(hidden[-1])
    y = tg.stack(tops) * extra[1] + extra[2]
    y = y - tg.log(tg.exp(y).sum(axis=1, keepdims=True) + 2)
    return -(sequence[1:] * y).sum() / y.size


def gradient(*inputs):
    return tg.concatenate([g.reshape(-1) for g in tg.grad(objective, argnums=(0, 1))(*inputs)])


def read(given):
    return tuple(tg.Tensor(np.array(given[name])) for name in ("main_params", "extra_params", "state", "sequence"))


FUNCTIONS = {"objective": Function(read, objective), "jacobian": Function(read, gradient)}
