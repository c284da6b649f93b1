"""Classifier and Regressor pass scikit-learn's own checks, and work inside its tools."""

from __future__ import annotations

import pickle
import subprocess
import sys
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import nn

REASON = "not installed: pip install scikit-learn"
ROOT = Path(__file__).parents[1]


@pytest.fixture
def sklearn():
    """scikit-learn, or the test is skipped."""
    return pytest.importorskip("sklearn", reason=REASON)


def network(features, outputs, width=16):
    return nn.Sequential(nn.Linear(features, width), nn.ReLU(), nn.Linear(width, outputs))


def convolutional(channels, classes):
    return nn.Sequential(nn.Conv2d(channels, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, classes))


def classifier(module=network, **arguments):
    return tg.sklearn.Classifier(module, **{"lr": 0.02, "epochs": 20, "random_state": 0, "compile": False, **arguments})


def regressor(module=network, **arguments):
    return tg.sklearn.Regressor(module, **{"lr": 0.02, "epochs": 20, "random_state": 0, "compile": False, **arguments})


IMAGES, DIGITS = tg.data.digits()
X, Y = IMAGES.reshape(-1, 64)[:600] / 16, DIGITS[:600]


@pytest.mark.parametrize("make", [classifier, regressor])
def test_its_own_checks(sklearn, make):
    from sklearn.utils.estimator_checks import check_estimator

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check_estimator(make(), on_skip=None)


def test_every_fit_is_new_and_has_the_same_bits(sklearn):
    first = classifier().fit(X, Y)
    again = first.fit(X, Y).predict_proba(X)
    np.testing.assert_array_equal(first.predict_proba(X), again)
    np.testing.assert_array_equal(sklearn.base.clone(first).fit(X, Y).predict_proba(X), again)
    np.testing.assert_array_equal(classifier(compile=True).fit(X, Y).predict_proba(X), again)
    assert not np.array_equal(classifier(random_state=1).fit(X, Y).predict_proba(X), again)
    state = tg.get_rng_state()
    classifier(epochs=1).fit(X, Y)
    assert tg.get_rng_state() == state, "with a random_state the library's generator is left alone"


def test_without_a_random_state_the_librarys_generator_decides(sklearn):
    found = []
    for seed in (0, 0, 1):
        tg.manual_seed(seed)
        found.append(classifier(random_state=None, validation_fraction=0.2).fit(X, Y).predict_proba(X))
    np.testing.assert_array_equal(found[0], found[1])
    assert not np.array_equal(found[0], found[2])


def test_it_is_what_fit_does(sklearn):
    tg.manual_seed(0)
    fitted = classifier(random_state=None, epochs=3).fit(X, Y)
    tg.manual_seed(0)
    model = network(64, 10)
    optimizer = tg.optim.Adam(model.parameters(), lr=0.02)
    x = X.astype(np.float32)
    history = tg.fit(model, (x, Y), tg.cross_entropy, optimizer, epochs=3, compile=False, progress=False)
    assert fitted.history_["loss"] == history["loss"]
    scores = tg.predict(model, x)
    np.testing.assert_array_equal(fitted.predict(X), scores.argmax(axis=1))
    p = np.exp(scores.astype(float))
    np.testing.assert_allclose(fitted.predict_proba(X), p / p.sum(axis=1, keepdims=True), rtol=1e-5, atol=1e-7)


def test_labels_may_be_words(sklearn):
    words = np.array(["none", "one", "two", "three"])[np.minimum(Y, 3)]
    fitted = classifier().fit(X, words)
    assert fitted.classes_.tolist() == ["none", "one", "three", "two"]
    assert fitted.score(X, words) > 0.95
    assert fitted.module_(tg.Tensor(X[:1].astype(np.float32))).shape == (1, 4)


def test_weights_of_classes_by_label(sklearn):
    words = np.where(Y == 3, "three", "other")
    rare = [
        classifier(epochs=2, class_weight=w).fit(X, words) for w in (None, {"three": 1e-4}, {"three": 50}, "balanced")
    ]
    threes = [np.mean(each.predict(X) == "three") for each in rare]
    assert threes[1] == 0 < threes[0] < threes[2]
    assert threes[0] < threes[3]


def test_images_keep_their_axes(sklearn):
    from sklearn.model_selection import cross_val_score

    images = IMAGES[:600, None] / 16
    assert cross_val_score(classifier(convolutional, epochs=8), images, Y, cv=3).mean() > 0.85


def test_a_pipeline_in_a_grid_search(sklearn):
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    pipeline = make_pipeline(StandardScaler(), classifier(epochs=10))
    grid = {
        "classifier__module": [partial(network, width=1), partial(network, width=24)],
        "classifier__lr": [1e-5, 0.02],
    }
    search = GridSearchCV(pipeline, grid, cv=2).fit(X, Y)
    assert search.best_params_["classifier__lr"] == 0.02
    assert search.best_params_["classifier__module"].keywords == {"width": 24}
    assert search.best_score_ > 0.75
    again = pickle.loads(pickle.dumps(search))
    np.testing.assert_array_equal(again.predict_proba(X), search.predict_proba(X))


def test_a_module_is_copied_for_each_fit(sklearn):
    module = network(64, 10)
    before = module.state_dict()
    estimator = classifier(module)
    first = estimator.fit(X, Y).predict_proba(X)
    assert estimator.module is module
    assert all(np.array_equal(before[name], value) for name, value in module.state_dict().items())
    np.testing.assert_array_equal(estimator.fit(X, Y).predict_proba(X), first)
    assert sklearn.base.clone(estimator).module is not module


def test_held_out_examples_stop_the_training(sklearn):
    stopping = tg.training.EarlyStopping(patience=2, metric="val_accuracy")
    estimator = classifier(epochs=100, validation_fraction=0.25, callbacks=[stopping], metrics=["accuracy", "top3"])
    estimator.fit(X, Y)
    history = estimator.history_
    assert history.epochs < 100
    assert {"val_loss", "val_accuracy", "val_top3"} <= history.keys()
    assert stopping.best.epoch == 0, "fit uses a copy of the callbacks"
    assert max(history["val_accuracy"]) * 150 == pytest.approx(round(max(history["val_accuracy"]) * 150))


def test_optimizer_and_schedule(sklearn):
    arguments = {"optimizer": partial(tg.optim.SGD, momentum=0.9), "scheduler": partial(tg.optim.StepLR, step_size=2)}
    history = classifier(lr=0.1, epochs=4, **arguments).fit(X, Y).history_
    assert history["lr"] == pytest.approx([0.1, 0.1, 0.01, 0.01])
    assert history["loss"][-1] < history["loss"][0] / 2


@pytest.mark.parametrize("targets", [1, 3])
def test_regression_of_one_number_and_of_several(sklearn, targets):
    weights = np.random.default_rng(0).normal(size=(64, targets))
    y = X @ weights
    fitted = regressor(epochs=60).fit(X, y)
    assert fitted.predict(X).shape == y.shape
    assert fitted.predict(X).dtype == np.float64
    assert fitted.score(X, y) > 0.9
    single = regressor(epochs=60).fit(X.astype(np.float32), y[:, 0].astype(np.float32))
    assert single.predict(X).shape == (600,)
    assert single.predict(X).dtype == np.float32


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"module": "network"}, TypeError, "`module` is or returns 'network'"),
        ({"module": lambda features, classes: 3}, TypeError, "`module` is or returns 3"),
        (
            {"module": lambda features, classes: nn.Linear(features, 3)},
            ValueError,
            r"shape \(1, 3\); it must be \(1, 10\)",
        ),
        ({"optimizer": "adam"}, TypeError, "`optimizer` is 'adam'; it must be a class such as tg.optim.Adam"),
        ({"loss": nn.CrossEntropyLoss}, TypeError, "`loss` is the class CrossEntropyLoss"),
        ({"class_weight": {11: 2.0}}, ValueError, r"the labels \[11\]; `y` has \[0, 1"),
        ({"class_weight": "equal"}, ValueError, "'equal'"),
        ({"epochs": -1}, ValueError, "`epochs` is -1"),
        ({"lr": -1.0}, ValueError, "`lr` is -1.0"),
        (
            {"scheduler": "cosine"},
            TypeError,
            "`scheduler` is or returns 'cosine'; it must be a function of the optimizer",
        ),
        ({"scheduler": lambda optimizer: None}, TypeError, "`scheduler` is or returns None"),
        ({"validation_fraction": 5}, ValueError, "`validation_fraction` is 5; it must be a number between 0 and 1"),
        ({"callbacks": None}, TypeError, "`callbacks` is None; it must be a list"),
    ],
)
def test_bad_parameters_are_told_in_fit(sklearn, arguments, error, message):
    with pytest.raises(error, match=message):
        classifier(**arguments).fit(X, Y)


def test_arguments_of_others_are_answered(sklearn):
    for call, message in (
        (
            lambda: classifier().fit(X, Y, sample_weight=Y),
            "'sample_weight'; examples have no weights: use class_weight=",
        ),
        (lambda: classifier(learning_rate=0.1), "use lr=0.1"),
        (lambda: classifier(max_iter=3), "use epochs=3"),
        (lambda: regressor(criterion=tg.mse), "use loss="),
    ):
        with pytest.raises(TypeError, match=message):
            call()


def built(features, outputs, width=3, *, bias=True):
    return nn.Sequential(nn.Linear(features, width, bias), nn.ReLU(), nn.Linear(width, outputs))


def test_arguments_of_the_module_are_searched(sklearn):
    from sklearn.base import clone
    from sklearn.model_selection import GridSearchCV

    estimator = tg.sklearn.Classifier(built, module__width=5, epochs=1, compile=False, random_state=0)
    assert "module__width=5" in repr(estimator)
    again = clone(estimator).set_params(module__bias=False, epochs=2)
    assert again.get_params() == estimator.get_params() | {"module__bias": False, "epochs": 2}
    (first, _, _) = again.fit(X, Y).module_
    assert (first.weight.shape[0], first.bias) == (5, None)
    search = GridSearchCV(estimator, {"module__width": [2, 4]}, cv=2).fit(X, Y)
    assert search.best_estimator_.module_[0].weight.shape[0] == search.best_params_["module__width"]
    assert estimator.get_params()["module__width"] == 5


def test_arguments_that_no_module_takes_are_told(sklearn):
    with pytest.raises(TypeError, match="module__depth|depth"):
        tg.sklearn.Classifier(built, module__depth=5).fit(X, Y)
    with pytest.raises(TypeError, match="`module` is built already, and there is module__width, for the function"):
        tg.sklearn.Regressor(built(X.shape[1], 1), module__width=5).fit(X, X[:, 0])
    for wrong in ("modul__width", "hidden"):
        with pytest.raises(
            TypeError, match=f"unexpected keyword argument '{wrong}'; it has batch_size, .*, and module__name="
        ):
            tg.sklearn.Classifier(built, **{wrong: 5})
    with pytest.raises(ValueError, match="Invalid parameter 'modul'"):
        tg.sklearn.Classifier(built).set_params(modul__width=5)


def test_numbers_too_large_for_the_dtype_are_refused(sklearn):
    with pytest.raises(ValueError, match="too large for dtype"):
        regressor().fit(X, X[:, 4] + 1e300)


def test_the_example_is_short_and_finds_a_good_pipeline(sklearn, capsys):
    from .test_examples import EXAMPLES, load, number

    assert load("sklearn_pipeline").main(["--quick"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("best of 4: 24 components, width 32, learning rate 0.01\n")
    assert 92 < number(r"^([\d.]+)% of 360 images that the search has not seen$", out) < 100, "guessing gives 10"
    text = (EXAMPLES / "sklearn_pipeline.py").read_text(encoding="utf-8")
    assert "\nRun:  python examples/sklearn_pipeline.py" in text.split('"""')[1]


@pytest.mark.slow
def test_without_scikit_learn_the_library_works_and_the_module_says_what_to_install():
    script = (
        "import sys; sys.modules['sklearn'] = None\n"
        "from tinygrad_cnn import *\n"
        "import tinygrad_cnn as tg\n"
        "try:\n    tg.sklearn\n"
        "except ModuleNotFoundError as error:\n    print(error)\n"
    )
    run = subprocess.run([sys.executable, "-c", script], check=True, cwd=ROOT, capture_output=True, encoding="utf-8")
    assert (
        "tinygrad_cnn.sklearn needs scikit-learn, which is not installed; pip install 'tinygrad_cnn[sklearn]'"
        in run.stdout
    )
