"""`fit`, `evaluate` and `predict` take arrays as they take loaders, and refuse what they cannot take."""

from __future__ import annotations

import re

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import nn

from .common import DIGITS, IMAGES, Parts, assert_same, measures

X, Y = IMAGES[:42], DIGITS[:42]


@pytest.mark.parametrize("shuffle", [None, True, False])
def test_arrays_train_as_a_loader_of_them_does(shuffle):
    found = []
    for arrays in (True, False):
        parts = Parts()
        tg.manual_seed(1)
        arguments = {"epochs": 2, "progress": False, "compile": False}
        if arrays:
            data = (X, tg.Tensor(Y))
            arguments |= {"batch_size": 8, "shuffle": shuffle, "validate": (IMAGES[-21:], DIGITS[-21:])}
        else:
            # Only for an order is a seed drawn from the library's generator.
            seeds = {"seed": 0} if shuffle is False else {}
            data = tg.data.DataLoader(tg.data.TensorDataset(X, Y), 8, shuffle is not False, **seeds)
            held_out = tg.data.TensorDataset(IMAGES[-21:], DIGITS[-21:])
            arguments |= {"validate": tg.data.DataLoader(held_out, 8, seed=0)}
        history = tg.fit(parts.model, data, tg.cross_entropy, parts.optimizer, **arguments)
        found.append((measures(history), parts.model.state_dict()))
    assert_same(*found)


def test_a_batch_of_arrays_has_32_examples():
    sizes = []

    class Sizes(tg.training.Callback):
        def on_step_end(self, run):
            sizes.append(len(run.parts[0]))

    parts = Parts()
    tg.fit(parts.model, (X, Y), tg.cross_entropy, parts.optimizer, epochs=1, progress=False, callbacks=[Sizes()])
    assert sizes == [32, 10]


def test_evaluate_is_exact_for_any_batch_size():
    model = Parts().model
    whole = tg.evaluate(model, (X, Y), tg.cross_entropy, batch_size=42)
    for size in (1, 8, None):
        found = tg.evaluate(model, (X, Y), tg.cross_entropy, batch_size=size)
        assert found["accuracy"] == whole["accuracy"]
        assert found["loss"] == pytest.approx(whole["loss"], rel=1e-6)


def test_evaluate_and_predict_leave_modes_and_the_random_state_as_they_are():
    model = Parts().model
    random = tg.get_rng_state()
    model[1].eval()
    before = [module.training for module in model.modules()]
    state = model.state_dict()
    tg.evaluate(model, (X, Y), tg.cross_entropy)
    tg.predict(model, X)
    assert tg.get_rng_state() == random
    assert [module.training for module in model.modules()] == before
    assert_same(model.state_dict(), state)


def test_predictions():
    model = Parts().model
    with tg.no_grad():
        expected = model.eval()(tg.Tensor(X)).numpy()
    for data in (X, tg.Tensor(X), (X,), [(X[:30],), (X[30:], Y[30:])], [X[:30], X[30:]], Parts(seed=0).validate):
        found = tg.predict(model, data)
        assert isinstance(found, np.ndarray)
        if len(found) == 42:
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
        else:
            assert found.shape == (21, 10)
    assert tg.predict(model, X, batch_size=5).shape == (42, 10)


def test_predictions_of_models_with_several_inputs_and_outputs():
    class Both(nn.Module):
        def forward(self, a, b):
            return {"sum": a + b, "pair": (a, b * 2)}

    a, b = np.arange(5.0), np.arange(5.0) * 10
    found = tg.predict(Both(), (a, b), batch_size=2)
    assert_same(found, {"sum": a + b, "pair": (a, b * 2)})


class Model(nn.Linear):
    def __init__(self):
        super().__init__(64, 10)


MODEL = Model()
SGD = tg.optim.SGD(MODEL.parameters(), lr=0.1)
FLAT = IMAGES[:8].reshape(8, 64)
GOOD = (FLAT, DIGITS[:8])
DATASET = tg.data.TensorDataset(*GOOD)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"model": Model}, TypeError, "`model` is the class Model; pass an object of it: Model(...)"),
        ({"model": len}, TypeError, "`model` is <built-in function len>; it must be a module"),
        (
            {"loader": DATASET},
            TypeError,
            "`loader` is a TensorDataset, which has examples and no batches; pass tg.data.DataLoader",
        ),
        ({"loader": FLAT}, TypeError, "`loader` is one array; pass a tuple of inputs and targets, (x, y)"),
        ({"loader": {"x": 1}}, TypeError, "`loader` is a dict"),
        ({"loader": 3}, TypeError, "`loader` is a int"),
        ({"loader": (FLAT[:0], DIGITS[:0])}, ValueError, "`loader` has arrays without examples"),
        ({"loader": (FLAT, DIGITS[:7])}, ValueError, "8"),
        (
            {"loader": [GOOD], "batch_size": 4},
            ValueError,
            "`batch_size` is 4, but `loader` is a list, which makes its own",
        ),
        ({"loader": [GOOD], "shuffle": True}, ValueError, "`shuffle` is True, but `loader` is a list"),
        ({"loader": GOOD, "batch_size": 0}, ValueError, "batch_size"),
        ({"validate": DATASET}, TypeError, "`validate` is a TensorDataset"),
        (
            {"loss": nn.CrossEntropyLoss},
            TypeError,
            "`loss` is the class CrossEntropyLoss; pass an object of it: CrossEntr",
        ),
        ({"loss": "mse"}, TypeError, "`loss` is 'mse'; it must be a function of (output, target)"),
        ({"loss": DIGITS}, TypeError, "arrays are passed as one tuple: (x, y)"),
        (
            {"optimizer": "adam"},
            TypeError,
            "`optimizer` is 'adam'; it must be an optimizer with the model's parameters",
        ),
        ({"optimizer": tg.optim.Adam}, TypeError, "`optimizer` is the class Adam"),
        (
            {"optimizer": tg.optim.SGD(Model().parameters())},
            ValueError,
            "`optimizer` holds none of the Linear's parameters",
        ),
        ({"scheduler": "cosine"}, TypeError, "`scheduler` is 'cosine'"),
        ({"metrics": "acc"}, ValueError, "'acc'; the names are"),
        (
            {"scheduler": tg.optim.StepLR},
            TypeError,
            "`scheduler` is the class StepLR; it must be a schedule, such as tg",
        ),
        ({"callbacks": [tg.training.History()]}, TypeError, "is not a callback"),
        ({"callbacks": [tg.training.Live]}, TypeError, "`callbacks` has the class Live; pass an object: Live(...)"),
        ({"callbacks": tg.training.LRFinder()}, TypeError, "it must be a list of callbacks"),
        (
            {"loader": (FLAT.tolist(), DIGITS[:8].tolist())},
            TypeError,
            "a batch has a list in it; all its parts must be arrays",
        ),
        ({"class_weight": [1.0, 2.0]}, ValueError, "`class_weight` has 2 weights, but the output 10 classes"),
        ({"class_weight": "equal"}, ValueError, "`class_weight` is 'equal'; it must be 'balanced'"),
        ({"epochs": 1.5}, ValueError, "`epochs` is 1.5"),
    ],
)
def test_wrong_kinds_of_argument_are_answered(changes, error, message):
    before = MODEL.state_dict()
    arguments = {
        "model": MODEL,
        "loader": GOOD,
        "loss": tg.cross_entropy,
        "optimizer": SGD,
        "epochs": 1,
        "progress": False,
    }
    if "`optimizer` holds" in message:
        arguments["model"] = nn.Linear(64, 10)
    with pytest.raises(error, match=re.escape(message)):
        tg.fit(**arguments | changes)
    assert_same(MODEL.state_dict(), before)


def test_others_answer_as_well():
    with pytest.raises(TypeError, match="evaluate: `loss` is the class MSELoss"):
        tg.evaluate(MODEL, GOOD, nn.MSELoss)
    with pytest.raises(TypeError, match="evaluate: `loader` is a TensorDataset"):
        tg.evaluate(MODEL, DATASET, tg.cross_entropy)
    with pytest.raises(TypeError, match="predict: `model` is the class"):
        tg.predict(Model, FLAT)
    with pytest.raises(ValueError, match="predict: `data` gave no batch"):
        tg.predict(MODEL, [])
    with pytest.raises(TypeError, match="predict: the model returned a single number"):
        tg.predict(Total(), FLAT)
    with pytest.raises(TypeError, match=r"a batch is 1 part.*passed as one tuple, \(x, y\)"):
        tg.evaluate(MODEL, [(FLAT,)], tg.cross_entropy)


class Total(nn.Module):
    def forward(self, x):
        return x.sum()
