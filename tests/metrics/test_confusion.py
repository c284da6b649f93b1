"""The confusion matrix counts what a loop counts, and its picture shows it."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.metrics import confusion_matrix, plot_confusion_matrix

RNG = np.random.default_rng(1)
TARGET, PREDICTION = RNG.integers(4, size=(2, 30))


def test_counts():
    expected = np.zeros((4, 4), int)
    for t, p in zip(TARGET, PREDICTION, strict=True):
        expected[t, p] += 1
    np.testing.assert_array_equal(confusion_matrix(TARGET, PREDICTION), expected)
    np.testing.assert_array_equal(confusion_matrix(TARGET.reshape(5, 6), tg.Tensor(PREDICTION.reshape(5, 6))), expected)
    scores = np.eye(4)[PREDICTION]
    np.testing.assert_array_equal(confusion_matrix(TARGET, scores), expected)
    square, labels = RNG.normal(size=(3, 3, 3)), RNG.integers(3, size=(3, 3))
    np.testing.assert_array_equal(confusion_matrix(labels, square), confusion_matrix(labels, square.argmax(axis=1)))


def test_the_size_is_that_of_the_scores_or_as_told():
    none = np.zeros(2, int)
    assert confusion_matrix(none, none).tolist() == [[2]]
    assert confusion_matrix(none, none, 3).shape == (3, 3)
    assert confusion_matrix(none, np.zeros((2, 5))).shape == (5, 5)
    assert confusion_matrix(none[:0], none[:0], 2).tolist() == [[0, 0], [0, 0]]
    assert confusion_matrix(none.astype(np.int8) + 100, none.astype(np.int8) + 100)[100, 100] == 2


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([0.5], [1]), TypeError, "`target` is float64"),
        (([0, 1], [1]), ValueError, r"`target` has shape \(2,\) and `prediction` \(1,\)"),
        (([0, 3], [1, 1], 3), ValueError, "a class 3; classes are from 0 to 2"),
        (([0, 1], [1, -1]), ValueError, "a class -1"),
        (([0], [0], 0), ValueError, "num_classes"),
    ],
)
def test_bad_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        confusion_matrix(*arguments)


def test_the_picture():
    pyplot = pytest.importorskip("matplotlib.pyplot")
    matrix = confusion_matrix(TARGET, PREDICTION)
    figure = plot_confusion_matrix(matrix, classes="abcd")
    (axes,) = figure.axes
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted", "target")
    assert [label.get_text() for label in axes.get_yticklabels()] == list("abcd")
    shown = {(int(text.get_position()[1]), int(text.get_position()[0])): int(text.get_text()) for text in axes.texts}
    assert shown == {(i, j): matrix[i, j] for i, j in np.argwhere(matrix)}
    np.testing.assert_allclose(axes.images[0].get_array(), matrix / matrix.sum(axis=1, keepdims=True))
    figure.canvas.draw()
    many = plot_confusion_matrix(np.eye(40))
    assert not many.axes[0].texts
    for each in (figure, many):
        pyplot.close(each)


def test_what_cannot_be_drawn():
    with pytest.raises(ValueError, match=r"`matrix` has shape \(2, 3\); it must be square"):
        plot_confusion_matrix(np.zeros((2, 3)))
    with pytest.raises(ValueError, match="3 names for 2 classes"):
        plot_confusion_matrix(np.zeros((2, 2)), classes="abc")
