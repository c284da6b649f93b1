"""Recurrent layers: RNN, GRU and LSTM over whole sequences, and their cells for one step."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike

from ..core.graph import Array
from ..numpy_api import creation
from ..ops.dropout import dropout
from ..ops.matmul import linear
from ..ops.recurrent import recurrence
from ..ops.shape import concatenate, expand_dims, get_shape, stack, swapaxes
from ..tensor import Tensor
from . import init
from .layer import Layer, size
from .parameter import Parameter

__all__ = ["GRU", "LSTM", "RNN", "GRUCell", "LSTMCell", "RNNCell"]


class _Recurrent(Layer):
    """Layers of steps. Each has weights for each direction, with PyTorch's names."""

    gates: ClassVar[int]
    kind: str
    shown = "{input_size}, {hidden_size}"
    proj_size = 0

    def _set_up(
        self, input_size: int, hidden_size: int, num_layers: int, bias: bool, batch_first: bool, p: float, bidirectional: bool,
        dtype: DTypeLike | None,
    ) -> None:  # fmt: skip
        self.input_size, self.hidden_size = size(self, "input_size", input_size), size(self, "hidden_size", hidden_size)
        self.num_layers = size(self, "num_layers", num_layers)
        if isinstance(p, bool) or not 0 <= p <= 1:
            raise ValueError(f"{type(self).__name__}: `dropout` is {p!r}; it must be a probability from 0 to 1")
        self.bias, self.batch_first, self.dropout, self.bidirectional = bias, batch_first, float(p), bidirectional
        state = self.proj_size or hidden_size
        shapes: dict[str, tuple[int, ...]] = {}
        for layer in range(num_layers):
            inputs = input_size if layer == 0 else state * (1 + bidirectional)
            for end in self._ends(layer):
                shapes[f"weight_ih_{end}"] = (self.gates * hidden_size, inputs)
                shapes[f"weight_hh_{end}"] = (self.gates * hidden_size, state)
                if bias:
                    shapes[f"bias_ih_{end}"] = shapes[f"bias_hh_{end}"] = (self.gates * hidden_size,)
                if self.proj_size:
                    shapes[f"weight_hr_{end}"] = (self.proj_size, hidden_size)
        self._make_parameters(dtype, **shapes)

    def _ends(self, layer: int) -> list[str]:
        """The ends of the names of a layer's parameters, one for each direction."""
        return [f"l{layer}", *([f"l{layer}_reverse"] if self.bidirectional else [])]

    def reset_parameters(self) -> None:
        """Draw the parameters uniformly from +-1 / sqrt(hidden_size)."""
        bound = 1 / math.sqrt(self.hidden_size)
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)

    def _run(self, x: Array, h: Any, c: Any) -> tuple[Any, Any, Any]:
        """The states of the last layer for all steps, and the last states of all layers; c is None but for an LSTM."""
        name, shape = type(self).__name__, get_shape(x)
        if len(shape) not in (2, 3) or shape[-1] != self.input_size or 0 in shape[:-1]:
            form = "(N, L, input_size)" if self.batch_first else "(L, N, input_size)"
            raise ValueError(
                f"{name}: `x` has shape {shape}; it must be {form} or (L, input_size), with `input_size` {self.input_size} "
                "and no empty axis"
            )
        alone = len(shape) == 2
        x = expand_dims(x, 1) if alone else swapaxes(x, 0, 1) if self.batch_first else x
        n, directions = get_shape(x)[1], 1 + self.bidirectional
        count = self.num_layers * directions
        h = self._state("h_0", h, count, n, self.proj_size or self.hidden_size, alone, x)
        c = None if c is None else self._state("c_0", c, count, n, self.hidden_size, alone, x)
        last_h, last_c = [], []
        for layer in range(self.num_layers):
            if layer and self.dropout:
                x = dropout(x, self.dropout, self.training)
            ys = []
            for i, end in enumerate(self._ends(layer)):
                at = layer * directions + i
                y, own_h, own_c = self._steps(x, h[at], None if c is None else c[at], end, reverse=i == 1)
                ys.append(y)
                last_h.append(own_h)
                last_c.append(own_c)
            x = ys[0] if len(ys) == 1 else concatenate(ys, axis=2)
        y = x[:, 0] if alone else swapaxes(x, 0, 1) if self.batch_first else x
        states = [stack(last_h), None if c is None else stack(last_c)]
        if alone:
            states = [None if s is None else s[:, 0] for s in states]
        return y, states[0], states[1]

    def _state(self, label: str, given: Any, count: int, n: int, width: int, alone: bool, x: Array) -> Any:
        """The states before the first step (count, n, width); zeros unless given."""
        if given is None or given is False:
            return creation.zeros(count, n, width, dtype=x.dtype)
        wanted = (count, width) if alone else (count, n, width)
        if get_shape(given) != wanted:
            raise ValueError(
                f"{type(self).__name__}: `{label}` has shape {get_shape(given)}; it must be {wanted}, one state for each layer "
                "and direction"
            )
        return expand_dims(given, 1) if alone else given

    def _steps(self, x: Array, h: Any, c: Any, end: str, reverse: bool) -> tuple[Any, Any, Any]:
        """One layer in one direction: the states of all steps, and the last ones."""
        b_in, b = (getattr(self, f"bias_{kind}_{end}", None) if self.bias else None for kind in ("ih", "hh"))
        if b is not None and self.kind != "gru":
            b_in, b = b_in + b, None
        p = getattr(self, f"weight_hr_{end}") if self.proj_size else None
        into = linear(x, getattr(self, f"weight_ih_{end}"), b_in)
        y = recurrence(into, getattr(self, f"weight_hh_{end}"), h, c, b, p, kind=self.kind, reverse=reverse)
        width = self.proj_size or self.hidden_size
        last = y[0 if reverse else -1]
        if c is None:
            return y, last, None
        return y[:, :, :width], last[:, :width], last[:, width:]


class RNN(_Recurrent):
    """h = tanh(W_ih x + b_ih + W_hh h + b_hh) for each step of a sequence, as in PyTorch.

    Args:
        input_size, hidden_size: the sizes of x and h.
        num_layers: each layer after the first takes the states of the one before.
        nonlinearity: "tanh" or "relu".
        bias: whether there are b_ih and b_hh.
        batch_first: whether x is (N, L, input_size), and not (L, N, input_size).
        dropout: the probability with which the states between two layers are dropped.
        bidirectional: whether other weights run from the last step to the first; their states are behind the others.
        dtype: of the parameters; the default dtype unless given.

    Attributes:
        weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0 and so on, with `_reverse` for the other direction, drawn uniformly
        from +-1 / sqrt(hidden_size).

    Called with x, and the states h_0 (num_layers directions, N, hidden_size) or none for zeros, it gives the states of the last
    layer for all steps, and the last states of all layers. x may be one sequence (L, input_size); states are then without N.

    >>> import tinygrad_cnn as tg
    >>> from tinygrad_cnn import nn
    >>> y, h = nn.RNN(8, 16, batch_first=True)(tg.zeros(4, 10, 8))
    >>> y.shape, h.shape
    ((4, 10, 16), (1, 4, 16))
    """

    gates = 1

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int = 1, nonlinearity: str = "tanh", bias: bool = True,
        batch_first: bool = False, dropout: float = 0.0, bidirectional: bool = False, dtype: DTypeLike | None = None,
    ) -> None:  # fmt: skip
        self.nonlinearity = _nonlinearity(self, nonlinearity)
        self.kind = f"rnn_{nonlinearity}"
        self._set_up(input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, dtype)

    def forward(self, x: Array, h_0: Array = None) -> tuple[Tensor, Tensor]:
        """The states of the last layer for all steps, and the last states of all layers."""
        y, h, _ = self._run(x, h_0, None)
        return y, h


class GRU(_Recurrent):
    """A gated recurrent unit: :class:`RNN` with gates r and z that say what of the state goes on. Cho et al., arXiv:1406.1078.

    r, z = sigmoid(W_ih x + b_ih + W_hh h + b_hh),  n = tanh(W_in x + b_in + r (W_hn h + b_hn)),  h = (1 - z) n + z h.

    Arguments, attributes and results are those of :class:`RNN`, without `nonlinearity`. Weights have the rows of r, z and n.
    """

    gates, kind = 3, "gru"

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True, batch_first: bool = False,
        dropout: float = 0.0, bidirectional: bool = False, dtype: DTypeLike | None = None,
    ) -> None:  # fmt: skip
        self._set_up(input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, dtype)

    def forward(self, x: Array, h_0: Array = None) -> tuple[Tensor, Tensor]:
        """The states of the last layer for all steps, and the last states of all layers."""
        y, h, _ = self._run(x, h_0, None)
        return y, h


class LSTM(_Recurrent):
    """Long short-term memory: :class:`RNN` with a cell c beside the state. Hochreiter and Schmidhuber, 1997.

    i, f, o = sigmoid(...),  g = tanh(...) of W_ih x + b_ih + W_hh h + b_hh,  c = f c + i g,  h = o tanh(c).

    Arguments, attributes and results are those of :class:`RNN`, without `nonlinearity`; weights have the rows of i, f, g and o.
    The states are a pair (h_0, c_0), and so are the last ones.

    Args:
        proj_size: P, if the state is W_hr h of P numbers; 0 for none. Sak et al., arXiv:1402.1128.
    """

    gates, kind = 4, "lstm"

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True, batch_first: bool = False,
        dropout: float = 0.0, bidirectional: bool = False, proj_size: int = 0, dtype: DTypeLike | None = None,
    ) -> None:  # fmt: skip
        if isinstance(proj_size, bool) or not isinstance(proj_size, int) or not 0 <= proj_size < hidden_size:
            raise ValueError(
                f"LSTM: `proj_size` is {proj_size!r}; it must be an integer from 0 up to below `hidden_size`"
            )
        self.proj_size = proj_size
        self._set_up(input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, dtype)

    def forward(self, x: Array, states: Any = None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """The states of the last layer for all steps, and the pair of the last states and cells of all layers."""
        h_0, c_0 = (False, False) if states is None else states
        y, h, c = self._run(x, h_0, c_0)
        return y, (h, c)


class _Cell(Layer):
    """One step, with a layer's weights."""

    gates: ClassVar[int]
    kind: str
    shown = "{input_size}, {hidden_size}, bias={bias}"
    weight_ih: Parameter
    weight_hh: Parameter
    bias_ih: Parameter | None
    bias_hh: Parameter | None

    def _set_up(self, input_size: int, hidden_size: int, bias: bool, dtype: DTypeLike | None) -> None:
        self.input_size, self.hidden_size = size(self, "input_size", input_size), size(self, "hidden_size", hidden_size)
        self.bias, rows = bias, self.gates * hidden_size
        shape = (rows,) if bias else None
        self._make_parameters(
            dtype, weight_ih=(rows, input_size), weight_hh=(rows, hidden_size), bias_ih=shape, bias_hh=shape
        )

    def reset_parameters(self) -> None:
        """Draw the parameters uniformly from +-1 / sqrt(hidden_size)."""
        bound = 1 / math.sqrt(self.hidden_size)
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)

    def _step(self, x: Array, h: Any, c: Any = None) -> Any:
        name, shape = type(self).__name__, get_shape(x)
        if len(shape) not in (1, 2) or shape[-1] != self.input_size:
            raise ValueError(
                f"{name}: `x` has shape {shape}; it must be (N, {self.input_size}) or ({self.input_size},)"
            )
        lead = shape[:-1]
        states: list[Any] = []
        for label, state in (("h", h), ("c", c)):
            if state is None:
                states.append(None)
                continue
            state = np.zeros((*lead, self.hidden_size), x.dtype) if state is False else state
            if get_shape(state) != (*lead, self.hidden_size):
                raise ValueError(
                    f"{name}: `{label}` has shape {get_shape(state)}; it must be {(*lead, self.hidden_size)}"
                )
            states.append(state if lead else expand_dims(state, 0))
        into = linear(expand_dims(x if lead else expand_dims(x, 0), 0), self.weight_ih, self.bias_ih)
        y = recurrence(into, self.weight_hh, states[0], states[1], self.bias_hh, kind=self.kind)[0]
        return y if lead else y[0]


class RNNCell(_Cell):
    """One step of :class:`RNN`: the state after x (N, input_size) from the state h (N, hidden_size), zeros unless given.

    Args:
        input_size, hidden_size, bias, nonlinearity, dtype: as for :class:`RNN`.

    Attributes:
        weight_ih, weight_hh, bias_ih, bias_hh.
    """

    gates = 1

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        dtype: DTypeLike | None = None,
    ) -> None:
        self.nonlinearity = _nonlinearity(self, nonlinearity)
        self.kind = f"rnn_{nonlinearity}"
        self._set_up(input_size, hidden_size, bias, dtype)

    def forward(self, x: Array, h: Array = None) -> Tensor:
        """The state after x."""
        y: Tensor = self._step(x, False if h is None else h)
        return y


class GRUCell(_Cell):
    """One step of :class:`GRU`; see :class:`RNNCell`."""

    gates, kind = 3, "gru"

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, dtype: DTypeLike | None = None) -> None:
        self._set_up(input_size, hidden_size, bias, dtype)

    def forward(self, x: Array, h: Array = None) -> Tensor:
        """The state after x."""
        y: Tensor = self._step(x, False if h is None else h)
        return y


class LSTMCell(_Cell):
    """One step of :class:`LSTM`: from the pair of states (h, c), zeros unless given, the pair after x; see :class:`RNNCell`."""

    gates, kind = 4, "lstm"

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, dtype: DTypeLike | None = None) -> None:
        self._set_up(input_size, hidden_size, bias, dtype)

    def forward(self, x: Array, states: Any = None) -> tuple[Tensor, Tensor]:
        """The state and the cell after x."""
        y = self._step(x, *((False, False) if states is None else states))
        return y[..., : self.hidden_size], y[..., self.hidden_size :]


def _nonlinearity(layer: Layer, given: str) -> str:
    if given not in ("tanh", "relu"):
        raise ValueError(f"{type(layer).__name__}: `nonlinearity` is {given!r}; it must be 'tanh' or 'relu'")
    return given
