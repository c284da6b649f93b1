"""DLPack: memory is shared with other libraries both ways, and what cannot be shared safely is copied or refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import tinygrad_cnn as tg

dtypes = st.sampled_from([np.bool_, np.int8, np.int64, np.uint8, np.float16, np.float32, np.float64, np.complex64])
arrays = hnp.arrays(dtypes, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3))


class Asking:
    """A Tensor that a consumer asks for its memory with these options, whatever the options of np.from_dlpack are.

    Without `max_version`, it is a consumer of before version 1 of the protocol, which cannot be told much. NumPy before
    2.1 is one.
    """

    def __init__(self, tensor: tg.Tensor, **options) -> None:
        self.tensor, self.options = tensor, options

    def __dlpack__(self, **_):
        return self.tensor.__dlpack__(**self.options)

    def __dlpack_device__(self):
        return self.tensor.__dlpack_device__()


@given(arrays)
def test_numpy_sees_the_same_memory_read_only(a):
    t = tg.from_numpy(a)
    shared = np.from_dlpack(t)
    np.testing.assert_array_equal(shared, a)
    assert (shared.dtype, shared.shape) == (a.dtype, a.shape)
    assert not shared.flags.writeable
    assert np.shares_memory(shared, a) or not a.size


@given(arrays)
def test_a_tensor_of_an_array_of_another_library_shares_its_memory(a):
    t = tg.from_dlpack(a)
    np.testing.assert_array_equal(t.numpy(), a)
    assert t.dtype == a.dtype
    assert np.shares_memory(t.numpy(), a) or not a.size


def test_a_consumer_that_cannot_be_told_gets_the_memory_as_it_is():
    t = tg.zeros(3)
    assert np.shares_memory(np.from_dlpack(Asking(t)), t.numpy())
    fixed = tg.broadcast_to(tg.ones(3), (2, 3))  # NumPy alone would refuse to give this away
    np.testing.assert_array_equal(np.from_dlpack(Asking(fixed)), np.ones((2, 3)))


versions = pytest.mark.parametrize("options", [{}, {"max_version": (1, 0)}, {"max_version": (0, 8)}])


@versions
def test_reversed_memory_is_copied_because_pytorch_cannot_take_it(options):
    t = tg.from_numpy(np.arange(3.0)[::-1])
    given_away = np.from_dlpack(Asking(t, **options))
    np.testing.assert_array_equal(given_away, [2, 1, 0])
    assert given_away.strides > (0,)
    assert not np.shares_memory(given_away, t.numpy())
    with pytest.raises(BufferError, match="reversed or read-only and cannot be shared; leave out copy=False"):
        t.__dlpack__(copy=False, **options)


@versions
def test_a_copy_on_request(options):
    t = tg.ones(2)
    copied = np.from_dlpack(Asking(t, copy=True, **options))
    np.testing.assert_array_equal(copied, [1, 1])
    assert not np.shares_memory(copied, t.numpy())
    for copy in (None, False):
        assert np.shares_memory(np.from_dlpack(Asking(t, copy=copy, **options)), t.numpy())


@given(arrays)
def test_an_array_that_is_read_only_is_shared_read_only(a):
    a.flags.writeable = False
    t = tg.from_dlpack(a)
    np.testing.assert_array_equal(t.numpy(), a)
    assert np.shares_memory(t.numpy(), a) or not a.size
    if a.dtype.kind == "f":
        t.requires_grad = True
        with pytest.raises(ValueError, match="read-only and cannot be updated; copy it"):
            tg.optim.SGD([t], lr=0.5)


def test_an_optimizer_writes_into_the_memory_of_the_other_library():
    theirs = np.array([3.0, 4.0])
    w = tg.from_dlpack(theirs, requires_grad=True)
    (w * w).sum().backward()
    tg.optim.SGD([w], lr=0.5).step()
    assert theirs.tolist() == [0, 0]


def test_what_cannot_be_given_away():
    w = tg.ones(2, requires_grad=True)
    for tensor in (w, w * 2):
        with pytest.raises(BufferError, match=r"requires a gradient, which would be lost; use t\.detach\(\)"):
            np.from_dlpack(tensor)
    assert np.from_dlpack(w.detach()).tolist() == [1, 1]
    assert np.from_dlpack(tg.ones(2, dtype=">f4")).tolist() == [1, 1]  # Tensors are in the machine's byte order
    for options in ({}, {"max_version": (1, 0)}):
        with pytest.raises((BufferError, ValueError)):
            w.detach().__dlpack__(dl_device=(2, 0), **options)  # a GPU
        assert np.from_dlpack(Asking(w.detach(), dl_device=(1, 0), **options)).tolist() == [1, 1]


def test_what_cannot_be_taken():
    class Bfloat16:
        def __dlpack__(self, **options):
            raise RuntimeError("Unsupported dtype in DLTensor.")

        def __dlpack_device__(self):
            return (1, 0)

    with pytest.raises(TypeError, match="from_dlpack: `x` is a list, which has no __dlpack__; use Tensor"):
        tg.from_dlpack([1.0])
    with pytest.raises(
        TypeError, match="from_dlpack: NumPy cannot hold `x` .*; convert it or move it to the CPU first"
    ):
        tg.from_dlpack(Bfloat16())
    with pytest.raises(TypeError, match="only floating-point Tensors have gradients"):
        tg.from_dlpack(np.arange(3), requires_grad=True)
