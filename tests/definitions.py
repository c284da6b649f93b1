"""The library without folders that may be absent, which are blocked from import: `python -m tests.definitions [FOLDER ...]`.

Without arguments, all of :data:`BLOCKED`. What is left are the definitions: every row of the case table with its gradients to
second order, the replay of the notebook, the digits example, every optimizer, and `fit`, which runs eagerly and says so. The
rows are checked by `testing/`; if that is blocked, gradients are compared with numerical ones instead.
"""

from __future__ import annotations

import importlib.abc
import io
import runpy
import sys
import traceback
import warnings
from contextlib import redirect_stdout, suppress
from pathlib import Path

PACKAGE = "tinygrad_cnn"
BLOCKED = ("kernels", "compile", "names", "extra", "testing")
EXAMPLES = Path(__file__).parents[1] / "examples"


class Blocker(importlib.abc.MetaPathFinder):
    """Finds nothing in the folders that may be absent."""

    def __init__(self, folders: tuple[str, ...]) -> None:
        self.blocked = [f"{PACKAGE}.{folder}" for folder in folders]

    def find_spec(self, name, path=None, target=None):
        if any(f"{name}.".startswith(f"{blocked}.") for blocked in self.blocked):
            raise ModuleNotFoundError(f"No module named {name!r}: it is blocked", name=name)


def rows() -> list[str]:
    """The rows that fail: their values, or a gradient of first or second order."""
    import numpy as np

    from tinygrad_cnn.testing import gradcheck
    from tinygrad_cnn.testing.cases import Draws

    from .rows import CASES

    failed = []
    for case in CASES:
        arrays = case.draw(Draws(np.random.default_rng(0)))
        try:
            np.testing.assert_allclose(case.call(*arrays), case.expected(*arrays), rtol=1e-12, atol=1e-13)
            if case.order:
                report = gradcheck(case, *arrays, order=min(case.order, 2), directions=1, budget=0, rng=0)
                assert report, report
        except Exception:
            failed.append(f"{case.name}: {traceback.format_exc()}")
    assert len(CASES) > 500
    return failed


def example(name: str) -> str:
    """What an example prints in its quick form."""
    printed, arguments = io.StringIO(), sys.argv
    sys.argv = [name, "--quick"]
    try:
        with redirect_stdout(printed), suppress(SystemExit):
            runpy.run_path(str(EXAMPLES / name), run_name="__main__")
    finally:
        sys.argv = arguments
    return printed.getvalue()


def optimizers() -> list[str]:
    """The optimizers that do not descend."""
    import numpy as np

    import tinygrad_cnn as tg

    failed = []
    for name in tg.optim.__all__:
        cls = getattr(tg.optim, name)
        if not (isinstance(cls, type) and issubclass(cls, tg.optim.Optimizer)) or cls is tg.optim.Optimizer:
            continue
        w = tg.Tensor(np.array([[2.0, -1.5], [0.5, 3.0]]), requires_grad=True)
        optimizer = cls([w], lr=0.05)
        losses = []

        def closure(w=w, optimizer=optimizer, losses=losses):
            loss = (w * w).sum()
            losses.append(loss.item())
            optimizer.zero_grad()
            loss.backward()
            return loss

        for _ in range(20):
            optimizer.step(closure)
        if not losses[-1] < losses[0]:
            failed.append(name)
    return failed


def fitted() -> str:
    """What `fit` prints, that is to compile."""
    import numpy as np

    import tinygrad_cnn as tg

    tg.manual_seed(0)
    x = np.random.default_rng(0).normal(size=(64, 4)).astype(np.float32)
    model = tg.nn.Sequential(tg.nn.Linear(4, 8), tg.nn.ReLU(), tg.nn.Linear(8, 1))
    loader = tg.data.DataLoader(tg.data.TensorDataset(x, x.sum(1, keepdims=True)), batch_size=16)
    printed = io.StringIO()
    with redirect_stdout(printed):
        history = tg.fit(
            model, loader, tg.nn.MSELoss(), tg.optim.Adam(model.parameters(), lr=0.02), epochs=8, compile=True
        )
    assert history["loss"][-1] < history["loss"][0] / 2, history["loss"]
    return printed.getvalue()


def gradients() -> list[str]:
    """The functions of one array whose gradients, or gradients of gradients, are not those of central differences."""
    import numpy as np

    import tinygrad_cnn as tg

    x = np.random.default_rng(0).uniform(0.2, 0.8, (2, 3, 6, 6))
    v, w = np.random.default_rng(1).normal(size=(2, *x.shape))
    filters, scale = np.random.default_rng(2).normal(size=(4, 3, 3, 3)), np.linspace(1, 2, 3)
    functions = {
        "exp": tg.exp, "arcsin": tg.arcsin, "sigmoid": tg.sigmoid, "gelu": tg.gelu, "softmax": tg.softmax, "std": tg.std,
        "cumsum": tg.cumsum, "matmul": lambda t: t @ t, "pool": lambda t: tg.max_pool2d(t, 2), "sort": tg.sort,
        "conv2d": lambda t: tg.conv2d(t, filters, padding=1), "norm": lambda t: tg.batch_norm(t, scale, scale),
        "inv": lambda t: tg.linalg.inv(t + 2 * np.eye(6)), "index": lambda t: t[:, [0, 2, 2]], "var": lambda t: tg.var(t, 1),
        "resize": lambda t: tg.interpolate(t, scale_factor=2, mode="bilinear"), "loss": lambda t: tg.mse(t, 0 * x),
    }  # fmt: skip
    failed = []
    for name, f in functions.items():
        try:
            loss = lambda t, f=f: (f(t) ** 2).sum()  # noqa: E731
            slope = lambda t, loss=loss: (tg.grad(loss)(t) * v).sum()  # noqa: E731
            for function in (loss, slope):
                h = 1e-5
                steps = [float(function(tg.Tensor(x + n * h * w)).item()) for n in (1, -1, 2, -2)]
                expected = (8 * (steps[0] - steps[1]) - (steps[2] - steps[3])) / (12 * h)
                found = (tg.grad(function)(tg.Tensor(x)).numpy() * w).sum()
                np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6 * abs(steps[0]))
        except Exception:
            failed.append(f"{name}: {traceback.format_exc()}")
    return failed


def main(*folders: str) -> None:
    """Raise unless everything works without `folders`, or without all that may be absent."""
    warnings.simplefilter("error")
    blocker = Blocker(folders or BLOCKED)
    sys.meta_path.insert(0, blocker)
    failed = gradients() if f"{PACKAGE}.testing" in blocker.blocked else rows()
    assert not failed, f"{len(failed)} rows fail:\n" + "\n".join(failed)
    assert "RMSE" in example("train_digits.py")
    example("notebook_replay.py")
    assert not (still := optimizers()), f"these optimizers do not descend: {still}"
    assert "run as written" in fitted()
    assert not [name for name in sys.modules if any(f"{name}.".startswith(f"{b}.") for b in blocker.blocked)]
    print("the definitions suffice")


if __name__ == "__main__":
    main(*sys.argv[1:])
