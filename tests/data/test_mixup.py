"""Mixtures of images and targets."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.data import DataLoader, MixUp, TensorDataset, ToFloat


def numbered(count, dtype=np.float64):
    """Images that show which ones they are a mixture of: one pixel for each."""
    return np.eye(count, dtype=dtype)[:, None]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_images_and_targets_are_mixed_with_the_same_partner_and_share(dtype):
    labels = np.arange(50) % 4
    x, y = MixUp(num_classes=4)(numbered(50, dtype), labels, rng=0)
    assert (x.dtype, y.dtype, y.shape) == (dtype, dtype, (50, 4))
    shares = x[:, 0]
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(y, shares @ np.eye(4)[labels], rtol=1e-6, atol=1e-7)
    partners = [np.flatnonzero(np.delete(row, i)) for i, row in enumerate(shares)]
    assert all(len(partner) <= 1 for partner in partners)
    assert sum(len(partner) for partner in partners) > 40
    used = [i for row in (shares > 0).T for i in [row.sum()]]
    assert max(used) <= 2  # partners are a permutation


def test_targets_that_are_numbers_are_mixed_as_they_are():
    images = numbered(9)
    for targets in (np.arange(9.0), np.arange(18.0, dtype=np.float32).reshape(9, 2)):
        x, y = MixUp()(images, targets, rng=0)
        np.testing.assert_allclose(y, x[:, 0] @ targets)
        assert y.dtype == np.float64


@pytest.mark.parametrize("alpha", [0.2, 1.0, 3.0])
def test_shares_have_the_moments_of_the_beta_distribution(alpha):
    count = 4000
    targets = np.arange(count) % 2.0
    images = np.ones((count, 1)) * targets[:, None]
    x, _ = MixUp(alpha=alpha)(images, targets, rng=0)
    pure = (x[:, 0] == targets).mean()
    assert abs(pure - 0.5) < 0.05  # a partner of the same kind
    shares = abs(x[:, 0] - (1 - targets))[x[:, 0] != targets]
    assert abs(shares.mean() - 0.5) < 4 * shares.std() / math.sqrt(len(shares))
    assert shares.var() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.1)


def test_a_loader_repeats_its_mixtures_and_cross_entropy_takes_them():
    images, labels = tg.data.digits()
    dataset = TensorDataset(images.reshape(-1, 64), labels)

    def loader(prefetch):
        return DataLoader(dataset, 64, shuffle=True, seed=1, transform=ToFloat(16),
                          batch_transform=MixUp(num_classes=10), prefetch=prefetch)  # fmt: skip

    for (x, y), (again, other) in zip(loader(0), loader(2), strict=True):
        np.testing.assert_array_equal(x, again)
        np.testing.assert_array_equal(y, other)
    tg.manual_seed(0)
    model = tg.nn.Linear(64, 10)
    history = tg.fit(
        model, loader(0), tg.cross_entropy, tg.optim.Adam(model.parameters(), lr=0.01), epochs=5, progress=False
    )
    assert history["loss"][-1] < 0.8 * history["loss"][0]
    accuracy = (model(images.reshape(-1, 64) / np.float32(16)).numpy().argmax(axis=1) == labels).mean()
    assert accuracy > 0.9


@pytest.mark.parametrize(
    ("images", "targets", "error", "message"),
    [
        (np.zeros((2, 3), np.uint8), [0, 1], TypeError, "`images` is uint8; convert it with ToFloat() first"),
        (
            np.zeros((2, 3)),
            [0, 1, 1],
            ValueError,
            "`images` has shape (2, 3) and `targets` (3,); there must be one target",
        ),
        (np.zeros((2, 3)), 1, ValueError, "`images` has shape (2, 3) and `targets` ()"),
        (np.zeros((2, 3)), [[0], [1]], ValueError, "`targets` is int64 (2, 1) and `num_classes` 2; classes are (N,)"),
        (np.zeros((2, 3)), ["a", "b"], TypeError, "`targets` is <U1; it must be integers or floating point"),
    ],
)
def test_what_cannot_be_mixed_is_refused(images, targets, error, message):
    with pytest.raises(error, match=re.escape("MixUp: " + message)):
        MixUp(num_classes=2)(images, np.array(targets))


def test_classes_need_their_number_and_must_exist():
    with pytest.raises(
        ValueError, match=r"`targets` is int64 \(2,\) and `num_classes` None; classes are \(N,\) and need"
    ):
        MixUp()(np.zeros((2, 3)), np.array([0, 1]))
    with pytest.raises(IndexError, match="2"):
        MixUp(num_classes=2)(np.zeros((2, 3)), np.array([0, 2]))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"alpha": 0}, ValueError, "MixUp: `alpha` is 0; it must be a finite number above 0"),
        ({"alpha": "1"}, TypeError, "MixUp: `alpha` is '1'"),
        ({"num_classes": 0}, ValueError, "MixUp: `num_classes` is 0; it must be a whole number of at least 1"),
    ],
)
def test_arguments_that_are_refused(options, error, message):
    with pytest.raises(error, match=re.escape(message)):
        MixUp(**options)
    assert repr(MixUp(alpha=0.5)) == "MixUp(alpha=0.5, num_classes=None)"
