"""The library without `kernels/` and `compile/`, which are blocked from import: `python -m tests.definitions`.

What is left are the definitions: every row of the case table with its gradients to second order, the replay of the notebook,
the digits example, every optimizer, and `fit`, which runs eagerly and says so.
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

BLOCKED = ("tinygrad_cnn.kernels", "tinygrad_cnn.compile")
EXAMPLES = Path(__file__).parents[1] / "examples"


class Blocker(importlib.abc.MetaPathFinder):
    """Finds nothing in the folders that may be absent."""

    def find_spec(self, name, path=None, target=None):
        if name.startswith(BLOCKED):
            raise ModuleNotFoundError(f"{name} is blocked", name=name)


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


def main() -> None:
    """Raise unless everything works."""
    warnings.simplefilter("error")
    sys.meta_path.insert(0, Blocker())
    failed = rows()
    assert not failed, f"{len(failed)} rows fail:\n" + "\n".join(failed)
    assert "RMSE" in example("train_digits.py")
    example("notebook_replay.py")
    assert not (still := optimizers()), f"these optimizers do not descend: {still}"
    assert "run as written" in fitted()
    assert not [name for name in sys.modules if name.startswith(BLOCKED)]
    print("the definitions suffice")


if __name__ == "__main__":
    main()
