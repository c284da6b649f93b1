"""Calls of a user who guesses or is careless: each gets an error of its own, before anything has changed."""

from __future__ import annotations

import re
from functools import partial

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import nn, optim
from tinygrad_cnn import training as T
from tinygrad_cnn.extra.distributed import World

from .common import assert_same

rng = np.random.default_rng(0)
X = rng.normal(size=(40, 4)).astype(np.float32)
Y = (X[:, 0] > 0).astype(int)
MODEL = nn.Linear(4, 2)
SGD = optim.SGD(MODEL.parameters(), lr=0.1)
CE = tg.cross_entropy
STOPPING = T.EarlyStopping(metric="loss")
STEPS = optim.StepLR(SGD, 1)
COMMON = {
    "model": MODEL,
    "loader": (X, Y),
    "loss": CE,
    "optimizer": SGD,
    "epochs": 1,
    "progress": False,
    "compile": False,
}


def fit(**changes):
    return tg.fit(**COMMON | changes)


class Silent(nn.Linear):
    def __init__(self):
        super().__init__(4, 2)
        self.weight, self.bias = MODEL.weight, MODEL.bias

    def forward(self, x):
        super().forward(x)


WRONG = [
    (lambda: fit(shuffle="no"), "`shuffle` is 'no'; it must be True or False"),
    (lambda: fit(compile="no"), "`compile` is 'no'; it must be True or False"),
    (lambda: fit(progress=None), "`progress` is None; it must be True or False"),
    (lambda: fit(resume=True), "`resume` is True; it must be a path"),
    (lambda: fit(callbacks=None), "`callbacks` is None; it must be a list of callbacks"),
    (lambda: fit(callbacks="early"), "`callbacks` is 'early'; it must be a list of callbacks"),
    (lambda: fit(callbacks=[T.EarlyStopping()]), "`metric` is 'val_loss', which needs `validate`"),
    (lambda: fit(callbacks=[T.Checkpoint("no.npz", best="val_accuracy")]), "'val_accuracy', which needs `validate`"),
    (lambda: fit(validate=(X,)), "`validate` is a tuple of one array; pass inputs and targets"),
    (lambda: fit(loader=(X,)), "`loader` is a tuple of one array"),
    (lambda: fit(validate=[X, Y]), "`validate` is a list of arrays, not of batches; pass whole arrays as a tuple, (x, y)"),
    (lambda: fit(loader=[X, Y]), "`loader` is a list of arrays"),
    (lambda: fit(validate=[]), "`validate` gave no batch; it is empty"),
    (lambda: fit(loss=lambda output, target: 3.0), "`loss` returned a float; it must return the mean over the batch"),
    (lambda: fit(loss=lambda output, target: None), "`loss` returned a NoneType"),
    (lambda: fit(loss=nn.CrossEntropyLoss(reduction="none")), "`loss` returned a Tensor of shape (32,)"),
    (lambda: fit(loss=lambda output, target: output, distributed=World(2)), "`loss` returned a Tensor of shape (16, 2)"),
    (lambda: fit(optimizer=optim.LBFGS(MODEL.parameters())), "`optimizer` is LBFGS"),
    (lambda: fit(scheduler=optim.StepLR(optim.SGD(MODEL.parameters()), 1)), "a StepLR of another optimizer"),
    *((lambda make=make: fit(scheduler=make()), "whose steps are batches, and fit would step it once an epoch") for make in (
        lambda: optim.OneCycleLR(optim.SGD(MODEL.parameters()), 0.1, 4, cycle_momentum=False),
        lambda: optim.CyclicLR(optim.SGD(MODEL.parameters()), 0.1, 0.2, cycle_momentum=False),
        lambda: optim.ChainedScheduler([optim.CyclicLR(optim.SGD(MODEL.parameters()), 0.1, 0.2, cycle_momentum=False)]),
    )),
    (lambda: fit(scheduler=T.EachStep(optim.StepLR(optim.SGD(MODEL.parameters()), 1))), "a StepLR of another optimizer"),
    (lambda: T.EachStep(SGD), "EachStep: `scheduler` is SGD("),
    (lambda: T.EachEpoch(None), "EachEpoch: `scheduler` is None; it must be a schedule"),
    (lambda: T.EachEpoch(optim.ConstantLR(optim.SGD([MODEL.bias])), metric="loss"), "EachEpoch: `metric` is 'loss'"),
    (lambda: fit(metrics=["top3"]), "there are fewer than 3 classes"),
    (lambda: fit(metrics=["mae"], distributed=World(2)), "both must have the same shape"),
    (lambda: fit(metrics={"val_loss": CE}), "the name 'val_loss' is the name of another column of the history"),
    (lambda: fit(metrics={"x": CE, "val_x": CE}, validate=(X, Y)), "the name 'val_x' is the name of another column"),
    (lambda: fit(metrics={"epoch": CE}), "the name 'epoch' is the name of another column"),
    (lambda: fit(metrics={3: CE}), "`metrics` has the name 3; it must be a string"),
    (lambda: fit(metrics={"a": lambda output, target: None}), "metric 'a': it returned None"),
    (lambda: tg.metrics.Average(CE, name=3), "`metrics` has the name 3"),
    (lambda: tg.fit(MODEL, X, Y, CE, SGD, epochs=1), "whole arrays are one tuple: (x, y)"),
    (lambda: tg.fit(MODEL, X, Y, epochs=1), "missing 1 required positional argument: 'optimizer'; whole arrays are one tuple"),
    (lambda: tg.fit(MODEL, X, epochs=1), "'loss' and 'optimizer'; whole arrays are one tuple: (x, y)"),
    (lambda: tg.evaluate(MODEL, X), "missing 1 required positional argument: 'loss'; whole arrays are one tuple: (x, y)"),
    (lambda: tg.fit(MODEL, X, Y, loss=CE, optimizer=SGD, epochs=1), "got `loss` by position and by name; its positions are"),
    (lambda: tg.fit(MODEL, X, Y, loss=CE, optimizer=SGD, epochs=1), "`optimizer`; whole arrays are one tuple: (x, y)"),
    (lambda: tg.evaluate(MODEL, X, Y, loss=CE), "`model`, `loader`, `loss`; whole arrays are one tuple: (x, y)"),
    (lambda: fit(loss=nn.CrossEntropyLoss(reduction="sum")), "`loss` has reduction='sum', which grows with the batch"),
    (lambda: fit(loader=list(zip(X, Y, strict=True))), "a batch has a single number in it"),
    (lambda: fit(loader=list(zip(X, Y, strict=True))), "examples becomes batches by tg.data.DataLoader(examples"),
    (lambda: fit(model=Silent()), "Silent: `forward` returned None; it must end with `return`"),
    (lambda: tg.evaluate(Silent(), (X, Y), CE), "Silent: `forward` returned None"),
    (lambda: tg.predict(Silent(), X), "Silent: `forward` returned None"),
    (lambda: CE(None, Y), "a loss is given None; it must be an array or a Tensor: does `forward` return its result?"),
    (lambda: tg.evaluate(MODEL, (X, Y), CE, step=T.train_step(MODEL, CE, SGD)), "`step` is what train_step returned"),
    (lambda: tg.evaluate(MODEL, (X, Y), CE, step=tg.compile(T.train_step(MODEL, CE, SGD))), "make it with eval_step"),
    (lambda: tg.evaluate(MODEL, (X, Y), partial(CE, reduction="sum")), "evaluate: `loss` has reduction='sum'"),
    (lambda: fit(callbacks=[STOPPING, STOPPING]), "`callbacks` has the same EarlyStopping twice"),
    (lambda: fit(scheduler=STEPS, callbacks=[T.EachEpoch(STEPS)]), "the StepLR would be stepped twice"),
    (lambda: fit(callbacks=[T.EachStep(optim.StepLR(optim.SGD([MODEL.bias]), 1))]), "a StepLR of another optimizer"),
    (lambda: fit(verbose=0), "use progress=False"),
    (lambda: tg.metrics.MAE()(y_true=Y, y_pred=Y), "use target=..."),
    (lambda: tg.metrics.confusion_matrix(y_pred=Y, target=Y), "use prediction=..."),
    (lambda: tg.evaluate(MODEL, (X, Y), CE, metrics=["f1", "top1"], step=T.eval_step(MODEL, CE)), "a step measured 1 metrics"),
    (lambda: tg.predict(MODEL, tg.data.DataLoader(X, 8, shuffle=True)), "shuffle=True, so that the outputs would be in"),
    (lambda: tg.predict(MODEL, tg.data.DataLoader(X, 16, drop_last=True)), "drop_last=True, so that outputs would be missing"),
    (lambda: tg.data.DataLoader(X, Y), "`batch_size` is an array; for inputs and targets, give TensorDataset(x, y)"),
    (lambda: tg.data.TensorDataset(2 * tg.Tensor(X, requires_grad=True)), "requires a gradient, which data would lose"),
    (lambda: fit(sample_weight=Y), "examples have no weights: use class_weight="),
    (lambda: fit(lr=0.1), "give it to the optimizer"),
    (lambda: fit(max_epochs=3), "use epochs=3"),
    (lambda: fit(criterion=CE), "use loss=..."),
    (lambda: fit(x=X, y=Y), "whole arrays are one tuple: (x, y)"),
    (lambda: tg.evaluate(MODEL, (X, Y), lambda output, target: 3.0), "`loss` returned a float"),
    (lambda: tg.evaluate(MODEL, (X, Y), nn.CrossEntropyLoss(reduction="none")), "`loss` returned a Tensor of shape (32,)"),
    (lambda: tg.evaluate(MODEL, (X, Y), CE, step=3), "`step` is 3; it must be what eval_step returns"),
    (lambda: tg.predict(MODEL, X.tolist()), "a batch has a float in it; all its parts must be arrays"),
    (lambda: tg.predict(MODEL, X[0]), "returned shape (2,) for 4 examples"),
    (lambda: T.train_step(nn.Linear, CE, SGD), "train_step: `model` is the class Linear"),
    (lambda: T.eval_step(MODEL, "mse"), "eval_step: `loss` is 'mse'"),
    (lambda: T.EarlyStopping(min_delta="a"), "`min_delta` is 'a'; it must be a finite number"),
    (lambda: T.EarlyStopping(metric=None), "`metric` is None; it must be the name of a measure"),
    (lambda: T.EarlyStopping(restore_best="no"), "`restore_best` is 'no'; it must be True or False"),
    (lambda: T.Checkpoint(3), "Checkpoint: `path` is 3; it must be a path"),
    (lambda: T.Checkpoint("a.npz", best=True), "`metric` is True; it must be the name"),
    (lambda: T.Checkpoint("a.npz", save_best_only=True), "use best='val_loss'"),
    (lambda: T.CSVLog(None), "CSVLog: `path` is None; it must be a path"),
    (lambda: T.TensorBoard(3), "TensorBoard: `folder` is 3; it must be a path"),
    (lambda: T.TensorBoard("runs", images=3), "`images` is 3; it must be True or False"),
    (lambda: T.GradientNorms("weight"), "`layers` is 'weight'; it must be True or False"),
    (lambda: T.History({"loss": [1.0]}).plot("acc"), "there is no acc; the history has loss"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "answer"), WRONG)
def test_an_error_says_what_is_wrong_and_changes_nothing(call, answer):
    before = MODEL.state_dict(), SGD.state_dict()
    with pytest.raises((TypeError, ValueError), match=re.escape(answer)):
        call()
    assert_same((MODEL.state_dict(), SGD.state_dict()), before)
    assert MODEL.training


def test_a_measure_that_no_epoch_has_is_told_with_those_that_it_has():
    schedule = T.EachEpoch(optim.ReduceLROnPlateau(optim.SGD(MODEL.parameters())), metric="acc")
    with pytest.raises(
        ValueError, match="EachEpoch: `metric` is 'acc', but the history has loss, accuracy, lr, seconds"
    ):
        fit(scheduler=schedule, optimizer=schedule.scheduler.optimizer)


def test_metrics_have_the_names_of_a_dict():
    f1 = tg.metrics.F1()
    found = tg.evaluate(MODEL, (X, Y), CE, metrics={"right": "accuracy", "macro": f1})
    plain = tg.evaluate(MODEL, (X, Y), CE, metrics=["accuracy", "f1"])
    assert found == {"loss": plain["loss"], "right": plain["accuracy"], "macro": plain["f1"]}
    assert f1.name == "f1"


def test_a_number_of_epochs_may_be_numpy_s():
    assert fit(epochs=np.int64(2), callbacks=()).epochs == 2


def test_an_optimizer_from_before_a_layer_was_replaced():
    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    model[2] = nn.Linear(3, 2)
    message = r"parameters that are not the Sequential's \(2\), and lacks some of its own \(2, such as '2.weight'\).*replaced\?"
    with pytest.warns(UserWarning, match=message) as found:
        fit(model=model, optimizer=optimizer)
    assert [each.filename for each in found] == [__file__]
    fit(model=model, optimizer=optim.SGD(model[2].parameters(), lr=0.1))  # the others are left out on purpose

    class Scaled(nn.Module):
        def __init__(self):
            self.scale = nn.Parameter([1.0])

        def forward(self, output, target):
            return CE(output * self.scale, target)

    loss = Scaled()
    fit(model=model, loss=loss, optimizer=optim.SGD([*model[2].parameters(), *loss.parameters()], lr=0.1))


@pytest.mark.parametrize(
    ("call", "note"),
    [
        (
            lambda: fit(loader=(X, X, Y)),
            "called with 2 arguments: all parts of a batch but the last, which is the target",
        ),
        (lambda: tg.evaluate(MODEL, (X, X, Y), CE), "called with 2 arguments: all parts of a batch but the last"),
        (
            lambda: tg.predict(MODEL, (X, Y)),
            "called with 2 arguments: all parts of `data`, from which the target is left out",
        ),
    ],
)
def test_a_model_with_fewer_arguments_than_a_batch_has(call, note):
    with pytest.raises(TypeError) as caught:
        call()
    assert note in caught.value.__notes__[0]
