"""The callback that shows a training in the browser while it runs."""

from __future__ import annotations

import math
import operator
import os
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeAlias

import numpy as np

from ...nn import Module
from ...notebooks import Updated, in_notebook
from ...scope import silent
from ...training.callbacks import Callback
from ..show import page as pages
from .board import Board, Reader

if TYPE_CHECKING:
    from ...tensor import Tensor
    from ...training.run import Run
    from .measure import Layers, Predictions
    from .server import Server

Points: TypeAlias = dict[str, list[tuple[float, float]]]

TICK = 0.5
"""Seconds between two updates of the page."""

LAYER_SHARE = 0.006
"""The largest part of the time spent on measuring the layers."""

GRAPH_SHARE = 0.006
"""The largest part of the time spent on drawing the graph, while a browser shows it."""

LEAST = 1.0
"""The least seconds between two measurements."""

EXAMPLES = 8
"""The number of examples of a batch for which the graph is computed."""

LOOKED_AT = 30.0
"""Seconds for which the graph is updated after a browser has requested it."""


class Live(Callback):
    """Shows a training on a page in the browser while it runs: ``fit(..., callbacks=[Live()])`` prints its address.

    The page has loss and metrics by step and epoch, learning rate, examples per second and the time left. It shows for each
    layer weights, gradients and the size of the updates; the filters of the first layer; after each validation of a classifier
    the confusion matrix and the worst mistakes; and the graph, with edges as wide as the gradients are large. Only this
    machine can open the address, at any time, and the page cannot change the training. Layers and graph are measured less
    often if that takes long.

    Your own loop calls :meth:`step`, :meth:`epoch` and, at the end, :meth:`close`, or uses it in a ``with`` block, which also
    tells of an exception. In a notebook, the cell shows the page while it trains, and keeps it as it is at the end; ``live`` as
    the last value of a cell shows it as it is then.

    Args:
        save: a file for the page at the end of the training. It opens without a server, and has at most 5 MB.
        port: the port of the address; 0 for a free one.
        model: the model of your own loop, for the layers. ``fit`` gives its own model.
        serve: whether to serve a page while the training runs. `save` works without it, too.

    Attributes:
        address: the address of the page after the training has begun; "" before, and without a page.

    Raises:
        ValueError: for an invalid port.
        FileNotFoundError: when training begins, if the folder of `save` does not exist.
        IsADirectoryError: when training begins, if `save` is a folder.
        OSError: when training begins, if the port is in use.

    >>> import tinygrad_cnn as tg
    >>> with tg.training.Live(serve=False) as live:
    ...     for loss in (1.0, 0.5, 0.25):
    ...         live.step(loss=loss, lr=0.1)
    """

    on_first_rank_only = True

    def __init__(
        self,
        save: str | os.PathLike[str] | None = None,
        port: int = 0,
        model: Module | None = None,
        serve: bool = True,
    ) -> None:
        if isinstance(port, bool) or not isinstance(port, int) or not 0 <= port < 65536:
            raise ValueError(f"Live: `port` is {port!r}; it must be a whole number from 0 to 65535")
        if model is not None and not isinstance(model, Module):
            raise TypeError(f"Live: `model` is {model!r:.60}; it must be a module of tinygrad_cnn.nn")
        self.path = None if save is None else Path(save)
        self._port, self._serve, self._model = port, serve, model
        self._board = Board()
        self._server: Server | None = None
        self._output: Updated | None = None  # of a notebook, while it shows the page of the server
        self._layers: Layers | None = None
        self._predictions: Predictions | None = None
        self._graph: dict[str, Any] | None = None
        self._running = False
        self._steps = 0
        self._pending: list[tuple[float, ...]] = []
        self._last: tuple[float, ...] = ()
        self._epochs = 0
        self._seen = 0.0
        self._began = self._next_tick = self._next_layers = self._cost = 0.0
        self._first = 0  # the step at which the run was begun or resumed
        self._wanted = -math.inf  # when a browser last requested the graph
        self._next_graph = 0.0

    @property
    def address(self) -> str:
        """The address of the page; "" without a page."""
        return "" if self._server is None else self._server.address

    # Your own loop

    def step(self, *, examples: int = 0, **numbers: float | Tensor) -> None:
        """Record the values of a step: ``live.step(loss=loss, lr=0.1)``. The first call prints the address.

        Args:
            examples: the number of examples of the step, for the examples per second.
            numbers: values by name: numbers, or Tensors with a single element.

        Raises:
            TypeError: if a value is not a number. Then nothing is recorded.
        """
        values = {name: _number(name, value) for name, value in numbers.items()}
        seen = _number("examples", examples)
        if not self._running:
            self._begin(self._model, "training")
        self._steps += 1
        self._seen += seen
        self._show_own({f"step {name}": [(self._steps, value)] for name, value in values.items()})

    def epoch(self, **numbers: float | Tensor) -> None:
        """Record the values of an epoch: ``live.epoch(val_loss=...)``. It raises as :meth:`step` does."""
        values = {name: _number(name, value) for name, value in numbers.items()}
        if not self._running:
            self._begin(self._model, "training")
        self._epochs += 1
        items = {} if self._predictions is None else self._predictions.items(self._epochs)
        self._predictions = None
        self._show_own({f"epoch {name}": [(self._epochs, value)] for name, value in values.items()}, **items)

    def predictions(self, inputs: Sequence[Tensor], scores: Tensor, target: Tensor) -> None:
        """Count a batch of a validation: the next :meth:`epoch` shows the confusion matrix and the worst mistakes.

        Args:
            inputs: the inputs of the model, images first. The page shows the images of mistakes.
            scores: the outputs of the model, (N, C).
            target: the right classes, (N,).
        """
        from .measure import Predictions

        if self._predictions is None:
            self._predictions = Predictions()
        self._predictions.add(inputs, scores, target)

    def reader(self) -> Reader:
        """The data of the page, for your own page. Each call of ``message()`` returns what is new, as plain dicts and lists.
        ``startLive`` of ``live.js`` takes such messages.

        >>> import tinygrad_cnn as tg
        >>> live = tg.training.Live(serve=False)
        >>> reader = live.reader()
        >>> live.step(loss=0.5)
        >>> reader.message()["series"]
        {'step loss': {'reset': True, 'points': [(1, 0.5)]}}
        """
        return Reader(self._board)

    def close(self) -> None:
        """End the run: save the page if `save` was given, and close the server."""
        self._close("finished")

    def _close(self, status: str, reason: str = "") -> None:
        if self._running:
            self._show_own({}, status, reason)
            self._end()
        if self._server is not None:
            self._server.close()
            self._server = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, _: object) -> None:
        if error is None:
            self.close()
        elif isinstance(error, KeyboardInterrupt):
            self._close("interrupted")
        else:
            self._close("failed", f"{type(error).__name__}: {error}")

    def _show_own(self, points: Points, status: str = "running", reason: str = "", **more: Any) -> None:
        """Update the board at once: the next step of the loop may come late."""
        now = time.perf_counter()
        items = more | self._measured(now, self._steps, points)
        seconds = now - self._began
        rate = self._seen / seconds if seconds > 0 else 0.0
        state = {"status": status, "reason": reason, "step": self._steps, "epoch": self._epochs, "rate": rate}
        self._board.add(points, state={**state, "seconds": seconds}, **items)

    # fit

    def on_fit_begin(self, run: Run) -> None:
        """Start the server and print the address."""
        self._begin(run.model, type(run.model).__name__)
        self._first = run.step
        self._last = (run.means.examples, run.means.loss, *run.means.total("accuracy"))
        history = {f"epoch {k}": list(enumerate(v, 1)) for k, v in run.history.items() if k != "seconds"}
        self._board.add(history, state=self._state(run, 0.0))

    def on_step_end(self, run: Run) -> None:
        """Record the step. Every :data:`TICK` seconds, update the page."""
        means = run.means
        lr = run.optimizer.param_groups[0]["lr"]
        self._pending.append((run.step, means.examples, means.loss, *means.total("accuracy"), lr))
        now = time.perf_counter()
        if now >= self._next_tick or self._is_due(now, run.step):
            self._show(run, now)

    def on_validation_batch(self, run: Run, parts: Sequence[Tensor], output: Any) -> None:
        """Count right and wrong classes, and keep the worst mistakes."""
        self.predictions(parts[:-1], output, parts[-1])

    def on_epoch_end(self, run: Run) -> None:
        """Show the epoch and its validation."""
        skip = ("seconds",)
        points = {f"epoch {k}": [(run.epoch, v)] for k, v in run.history.last.items() if k not in skip}
        items = {} if self._predictions is None else self._predictions.items(run.epoch)
        self._predictions = None
        self._board.add(points, **items)
        now = time.perf_counter()
        if now >= self._next_tick:
            self._show(run, now)

    def on_fit_end(self, run: Run) -> None:
        """Show how the training ended, and save the page. The server runs until the program ends, or :meth:`close`."""
        if not self._running:
            return
        if (self.path is not None or self._output is not None) and self._graph is None and run.parts:
            self._draw_graph(run)
        self._show(run, time.perf_counter())
        self._end()

    def _show(self, run: Run, now: float) -> None:
        points = self._flush()
        items = self._measured(now, run.step, points)
        if self._board_looks_at_graph(now) and run.parts:
            self._draw_graph(run)
            cost = time.perf_counter() - now
            self._next_graph = now + max(LEAST, cost / GRAPH_SHARE)
        self._board.add(points, state=self._state(run, now), **items)
        self._next_tick = time.perf_counter() + TICK

    def _flush(self) -> Points:
        """Points for the steps since the last update: the means of each step, from the sums of the epoch."""
        if not self._pending:
            return {}
        table = np.array(self._pending, np.float64)
        self._pending = []
        steps, lr = table[:, 0], table[:, 5]
        before = np.vstack([np.array(self._last, np.float64)[None], table[:-1, 1:5]])
        self._last = tuple(table[-1, 1:5])
        before[table[:, 1] <= before[:, 0]] = 0  # an epoch began
        examples, loss, targets, right = (table[:, 1:5] - before).T
        with silent:
            points = {"step loss": _points(steps, loss / examples), "step lr": _points(steps, lr)}
            if targets.any():
                points["step accuracy"] = _points(steps, right / targets)
        return points

    def _state(self, run: Run, now: float) -> dict[str, Any]:
        rate = run.means.examples / run.train_seconds if run.train_seconds else 0.0
        done = run.step - self._first
        left = None
        if run.batches is not None and done > 0:
            left = (now - self._began) / done * ((run.epochs - run.epoch) * run.batches - run.batch)
        return {
            "status": run.status, "reason": run.stopped, "step": run.step, "epoch": run.epoch, "epochs": run.epochs,
            "batch": run.batch, "batches": run.batches, "rate": rate, "left": left, "how": run.how,
            "seconds": now - self._began if now else 0.0,
        }  # fmt: skip

    # For both

    def _begin(self, model: Module | None, title: str) -> None:
        from .measure import Layers
        from .server import Server

        if self.path is not None and not self.path.absolute().parent.is_dir():
            raise FileNotFoundError(f"Live: the folder of `save` {str(self.path)!r} does not exist; make it first")
        if self.path is not None and self.path.is_dir():
            raise IsADirectoryError(f"Live: `save` {str(self.path)!r} is a folder; give a file in it, such as run.html")
        if self._serve and self._server is None:
            self._server = Server(self._board, self._graph_for_a_browser, self._port, in_notebook())
        self._keep_output()  # of a run that was not ended
        self._board.clear()
        self._layers = None if model is None else Layers(model)
        self._graph = None
        self._pending = []
        self._steps = self._epochs = 0
        self._seen = 0.0
        self._began = time.perf_counter()
        self._next_tick = self._next_layers = self._began
        self._next_graph = self._began
        self._running = True
        self._board.add({}, title=title)
        if self._server is not None and in_notebook():
            self._output = Updated()
            self._output.show(f"live: {self.address}", pages.linked(self.address, "training"))
        elif self._server is not None:
            print(f"live: {self.address}", flush=True)

    def _page(self) -> str:
        """The page with all its data, which needs no server."""
        from .server import page

        rest = pages.embedded(self._board.everything())[:-1]
        graph = self._graph_text(pages.LIMIT - len(page(rest).encode()) - 20)
        return page(f'{rest},"graph":{graph}}}')

    def _repr_html_(self) -> str | None:
        """In a notebook, the page as it is now; nothing before the training."""
        return pages.framed(self._page(), "training") if self._began else None

    def _keep_output(self) -> None:
        """In a notebook, show the page as it is now in place of the server's, which will not run when it is opened later."""
        if self._output is not None:
            self._output.show("live: the page of the training", pages.framed(self._page(), "training"))
            self._output = None

    def _end(self) -> None:
        self._running = False
        self._keep_output()
        if self.path is None:
            return
        try:
            pages.write(self.path, self._page())
        except OSError as error:  # the training must not fail because of its page
            warnings.warn(f"Live: the run was not saved: {error}", stacklevel=3)

    def _is_due(self, now: float, step: int) -> bool:
        if self._layers is None:
            return False
        return step > self._layers.begun if self._layers.begun else now >= self._next_layers

    def _measured(self, now: float, step: int, points: Points) -> dict[str, Any]:
        """Begin or finish a measurement of the layers if one is due."""
        if self._layers is None or not step or not self._is_due(now, step):
            return {}
        if not self._layers.begun:
            self._layers.begin(step)
            self._cost = time.perf_counter() - now
            return {}
        more, items = self._layers.finish(step)
        points.update(more)
        end = time.perf_counter()
        self._next_layers = end + max(LEAST, (self._cost + end - now) / LAYER_SHARE)
        return items

    # The graph

    def _graph_for_a_browser(self) -> str:
        self._wanted = time.perf_counter()
        return self._graph_text(pages.LIMIT)

    def _graph_text(self, max_bytes: int) -> str:
        """The graph as JSON. Parts are left out if it would be larger than `max_bytes`; null if it is larger even so."""
        graph = self._graph
        try:
            return "null" if graph is None else pages.fitted(graph, max_bytes, max_bytes)
        except ValueError:
            return "null"

    def _board_looks_at_graph(self, now: float) -> bool:
        return now - self._wanted < LOOKED_AT and now >= self._next_graph

    def _draw_graph(self, run: Run) -> None:
        """Compute the loss of a few examples again, with its graph. The model and the generator do not change."""
        from ..show import show

        *inputs, target = [part[:EXAMPLES].detach() for part in run.parts]
        try:
            page = show(Objective(run.model, run.loss, target), *inputs, title=type(run.model).__name__)
        except Exception as error:  # such as a loss that needs more examples
            self._board.add({}, graph={"error": f"{type(error).__name__}: {error}", "step": run.step})
            return
        self._graph = page.data
        self._board.add({}, graph={"error": None, "step": run.step})


class Objective(Module):
    """The loss of a model as a module: `show` then restores the state of the model."""

    def __init__(self, model: Module, loss: Any, target: Tensor) -> None:
        super().__init__()
        self.model = model
        self._loss = loss
        self._target = target

    def forward(self, *inputs: Tensor) -> Tensor:
        value: Tensor = self._loss(self.model(*inputs), self._target)
        return value


def _points(x: Any, y: Any) -> list[tuple[float, float]]:
    return list(zip(x.tolist(), y.tolist(), strict=True))


def _number(name: str, value: Any) -> float:
    try:
        return float(value.item() if hasattr(value, "item") else operator.pos(value))  # which a string has not
    except (TypeError, ValueError, OverflowError):
        raise TypeError(
            f"Live: `{name}` is {value!r:.60}; it must be a number, or a Tensor with a single element"
        ) from None
