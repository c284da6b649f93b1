"""The loss of a recurrent network whose weights are diagonal, on a text in bits: the next character from each.

A layer has a row of weights and one of biases, each for the forget, input and output gate and for the change. The forget and
the output gate see the layer's input, the others its hidden state.
"""

from __future__ import annotations

import numpy as np

import tinygrad_cnn as tg

from ..function import Function


def objective(main, extra, state, sequence):
    layers, width = main.shape[0] // 2, extra.shape[1]
    gates = main.reshape(layers, 2, 4, width)
    weights = [[gates[i, 0, k] for k in range(4)] for i in range(layers)]
    biases = [[gates[i, 1, k] for k in range(4)] for i in range(layers)]
    hidden, cell = [state[2 * i] for i in range(layers)], [state[2 * i + 1] for i in range(layers)]
    inputs = tg.unstack(sequence[:-1] * extra[0])
    tops = []
    for given in inputs:
        for i in range(layers):
            w, b, h = weights[i], biases[i], hidden[i]
            forget, out = tg.sigmoid(given * w[0] + b[0]), tg.sigmoid(given * w[2] + b[2])
            change = tg.sigmoid(h * w[1] + b[1]) * tg.tanh(h * w[3] + b[3])
            cell[i] = cell[i] * forget + change
            given = hidden[i] = out * tg.tanh(cell[i])
        tops.append(given)
    y = tg.stack(tops) * extra[1] + extra[2]
    y = y - tg.log(tg.exp(y).sum(axis=1, keepdims=True) + 2)
    return -(sequence[1:] * y).sum() / y.size


def gradient(*inputs):
    return tg.concatenate([g.reshape(-1) for g in tg.grad(objective, argnums=(0, 1))(*inputs)])


def read(given):
    return tuple(tg.Tensor(np.array(given[name])) for name in ("main_params", "extra_params", "state", "sequence"))


FUNCTIONS = {"objective": Function(read, objective), "jacobian": Function(read, tg.compile(gradient))}
