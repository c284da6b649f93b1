"""The tab "Train": a network that the user wrote, trained on the digits in slices, between which the page can ask for more."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np

import tinygrad_cnn as tg
from tinygrad_cnn import nn
from tinygrad_cnn.data import DataLoader, TensorDataset
from tinygrad_cnn.extra.show.png import picture

from .call import Refusal, execute

FILE = "your network"
TRAINING = 1500
"""Digits to train on; the other 297 are for the validation."""

OPTIMIZERS = {
    "SGD": lambda parameters, lr: tg.optim.SGD(parameters, lr=lr),
    "SGD with momentum": lambda parameters, lr: tg.optim.SGD(parameters, lr=lr, momentum=0.9),
    "Adam": lambda parameters, lr: tg.optim.Adam(parameters, lr=lr),
    "AdamW": lambda parameters, lr: tg.optim.AdamW(parameters, lr=lr),
    "RMSprop": lambda parameters, lr: tg.optim.RMSprop(parameters, lr=lr),
}


def digits() -> tuple[np.ndarray, np.ndarray]:
    """The digits, 1,797 images (1, 8, 8) from 0 to 1, and their classes."""
    images, classes = tg.data.digits()
    return (images[:, None] / 16).astype(np.float32), classes


class Training:
    """A training of the user's network that takes steps when it is told to.

    Args:
        source: Python that makes ``model``.
        optimizer: a name from OPTIMIZERS.
        lr: the learning rate.
        batch: examples of a step.
    """

    def __init__(self, source: str, optimizer: str, lr: float, batch: int) -> None:
        tg.manual_seed(0)
        space: dict[str, Any] = {"tg": tg, "nn": nn, "np": np}
        execute(source, FILE, space)
        self.model = space.get("model")
        if not isinstance(self.model, nn.Module):
            found = "does not exist" if self.model is None else f"is of class {type(self.model).__name__}"
            raise Refusal(
                f"`model` {found} after your text has run; assign a module to it, as in model = nn.Sequential(...)"
            )
        x, y = digits()
        self.held_out = x[TRAINING:], y[TRAINING:]
        self._check()
        self.optimizer = OPTIMIZERS[optimizer](self.model.parameters(), _rate(lr))
        self.loader = DataLoader(TensorDataset(x[:TRAINING], y[:TRAINING]), batch_size=batch, shuffle=True, seed=0)
        self.live = tg.training.Live(serve=False, model=self.model)
        self.news = self.live.reader()
        self.epochs = 0
        self._steps = self._take()

    def _check(self) -> None:
        """Whether the model takes digits and gives ten scores."""
        with tg.no_grad():
            out = self.model.eval()(tg.Tensor(self.held_out[0][:2]))
        if not isinstance(out, tg.Tensor) or out.shape != (2, 10):
            got = f"of shape {out.shape}" if isinstance(out, tg.Tensor) else f"a {type(out).__name__}"
            raise Refusal(
                f"the model makes a result {got} of two digits (2, 1, 8, 8); it must be ten scores for each, (2, 10)"
            )
        if not list(self.model.parameters()):
            raise Refusal(
                "the model has no parameters, so that there is nothing to train; add a layer such as nn.Linear"
            )

    def _take(self) -> Iterator[None]:
        """A step each time, and the validation with the last one of an epoch."""
        while True:
            sums = np.zeros(2)
            for number, (x, y) in enumerate(self.loader, 1):
                scores = self.model.train()(tg.Tensor(x))
                loss = tg.cross_entropy(scores, y)
                self.optimizer.zero_grad()
                loss.backward()
                self.optimizer.step()
                means = [loss.item(), _accuracy(scores, y)]
                sums += np.multiply(means, len(y))
                lr = self.optimizer.param_groups[0]["lr"]
                self.live.step(loss=means[0], accuracy=means[1], lr=lr, examples=len(y))
                if number == len(self.loader):
                    self._validate(*sums / TRAINING)
                yield

    def _validate(self, loss: float, accuracy: float) -> None:
        x, y = map(tg.Tensor, self.held_out)
        with tg.no_grad():
            scores = self.model.eval()(x)
            val_loss = tg.cross_entropy(scores, y)
        self.live.predictions([x], scores, y)
        self.epochs += 1
        self.live.epoch(
            loss=loss, accuracy=accuracy, val_loss=val_loss, val_accuracy=_accuracy(scores, self.held_out[1])
        )

    def advance(self, seconds: float, lr: float, epochs: int) -> dict[str, Any]:
        """Steps for so many seconds, at least one, but not beyond the end of epoch `epochs`: what is new on the page."""
        self.optimizer.param_groups[0]["lr"] = _rate(lr)
        end = time.perf_counter() + seconds
        next(self._steps)
        while time.perf_counter() < end and self.epochs < epochs:
            next(self._steps)
        return {"news": self.news.message(), "epochs": self.epochs}

    def look(self, pixels: list[float]) -> dict[str, Any]:
        """What the network makes of a digit of 64 numbers from 0 to 16: probabilities, saliency, feature maps."""
        x = tg.Tensor(np.array(pixels, np.float32).reshape(1, 1, 8, 8) / 16, requires_grad=True)
        maps: list[dict[str, Any]] = []

        def note(module: nn.Module, inputs: Any, output: Any) -> None:
            if isinstance(output, tg.Tensor) and output.ndim == 4:
                shape = list(output.shape[1:])
                maps.append({"name": type(module).__name__, "shape": shape, "picture": picture(output.numpy(), "op")})

        leaves = [module for module in self.model.modules() if not list(module.children())]
        hooks = [module.register_forward_hook(note) for module in leaves]
        try:
            scores = self.model.eval()(x)[0]
        finally:
            for hook in hooks:
                hook.remove()
        guess = int(scores.argmax().item())
        (slope,) = tg.gradients(scores[guess], [x], allow_unused=True)
        return {
            "guess": guess,
            "probabilities": tg.softmax(scores.detach(), axis=0).numpy().tolist(),
            "saliency": picture((x.numpy() * 0 if slope is None else slope.numpy())[0, 0], "op"),
            "maps": [each for each in maps if each["picture"]],
        }


training: Training | None = None


def start(source: str, optimizer: str, lr: float, batch: int) -> dict[str, Any]:
    """Make the network anew, with new weights: what there is to say about it."""
    global training
    training = Training(source, optimizer, lr, batch)
    parameters = sum(p.size for p in training.model.parameters())
    return {"parameters": parameters, "batches": len(training.loader), "news": training.news.message()}


def advance(seconds: float, lr: float, epochs: int) -> dict[str, Any]:
    """Take steps. A network that fails at a step has to be made anew."""
    global training
    assert training is not None
    try:
        return training.advance(seconds, lr, epochs)
    except BaseException:
        training = None
        raise


def look(pixels: list[float]) -> dict[str, Any] | None:
    """See :meth:`Training.look`; None if there is no network."""
    return None if training is None else training.look(pixels)


def example(number: int) -> dict[str, Any]:
    """A digit of the validation: 64 numbers from 0 to 16, and its class."""
    x, y = digits()
    at = TRAINING + number % (len(x) - TRAINING)
    return {"pixels": (x[at].ravel() * 16).tolist(), "digit": int(y[at])}


def _accuracy(scores: tg.Tensor, classes: np.ndarray) -> float:
    return float((scores.numpy().argmax(axis=1) == classes).mean())


def _rate(lr: Any) -> float:
    if not isinstance(lr, int | float) or not 0 < lr < float("inf"):
        raise Refusal(f"the rate is {lr!r}; it must be a number above 0, such as 0.003")
    return float(lr)
