"""Nested parameters as one vector, and back, with gradients both ways."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_cnn as tg


def test_it_comes_back_in_its_structure_shapes_and_dtypes():
    tree = {"w": np.arange(6.0).reshape(2, 3), "b": [tg.Tensor([1.0, 2.0]), (3.0, np.int64(4))]}
    vector, unravel = tg.ravel_pytree(tree)
    assert vector.tolist() == [0, 1, 2, 3, 4, 5, 1, 2, 3, 4]
    back = unravel(vector * 2)
    assert back["w"].tolist() == [[0, 2, 4], [6, 8, 10]]
    assert back["b"][0].dtype == np.float32
    assert back["b"][1][0].item() == 6
    assert (back["b"][1][1].dtype, back["b"][1][1].item()) == (np.int64, 8)


def test_gradients_pass_both_ways():
    tree = {"w": tg.Tensor(np.ones((2, 2)), requires_grad=True), "b": tg.Tensor(np.array(3.0), requires_grad=True)}
    vector, unravel = tg.ravel_pytree(tree)
    (vector * np.arange(5.0)).sum().backward()
    assert tree["w"].grad.tolist() == [[0, 1], [2, 3]]
    assert tree["b"].grad.item() == 4

    def loss(v):
        p = unravel(v)
        return (p["w"] ** 2).sum() * p["b"]

    v = np.array([1.0, 2.0, 3.0, 4.0, 0.5])
    np.testing.assert_allclose(tg.grad(loss)(v), [1, 2, 3, 4, 30])
    np.testing.assert_allclose(tg.hessian(loss)(v)[4], [2, 4, 6, 8, 0])


def test_an_empty_tree_is_an_empty_vector():
    vector, unravel = tg.ravel_pytree({})
    assert vector.shape == (0,)
    assert unravel(vector) == {}


def test_errors():
    _, unravel = tg.ravel_pytree([1.0, 2.0])
    with pytest.raises(ValueError, match=r"the vector has shape \(3,\); it must have shape \(2,\)"):
        unravel(np.zeros(3))
    with pytest.raises(TypeError, match="a leaf is <U1; all must be numbers"):
        tg.ravel_pytree([1.0, "x"])


def test_real_leaves_beside_complex_ones_get_the_real_part():
    tree = {"z": np.array([1 + 2j, 3]), "x": np.array([4.0, 5.0])}
    vector, unravel = tg.ravel_pytree(tree)
    assert vector.tolist() == [1 + 2j, 3, 4, 5]
    back = unravel(vector * 1j)
    assert (back["z"].tolist(), back["x"].tolist()) == ([-2 + 1j, 3j], [0.0, 0.0])
    slope = tg.grad(lambda v: (tg.abs(unravel(v)["z"]) ** 2).sum() + (unravel(v)["x"] ** 3).sum())(vector)
    np.testing.assert_allclose(slope.numpy(), [2 - 4j, 6, 48, 75])
