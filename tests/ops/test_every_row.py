"""Every row of the case table: the value, and the gradients at first order, in the forms that the arrays may have.

Each row is drawn once as it is and once square, and with equal elements where it chooses among them; then in other memory
layouts, other dtypes, with a NaN, with empty axes, and in walks that sum and repeat. It takes seconds, and notices every wrong
rule: see `tests/mutants/test_rules.py`. What takes longer is in `test_every_op.py`.
"""

from __future__ import annotations

import re
import warnings
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.core.remedies import original
from tinygrad_cnn.testing import assert_gradients
from tinygrad_cnn.testing.cases import Case, Draws
from tinygrad_cnn.testing.layouts import LAYOUTS
from tinygrad_cnn.transforms.pytree import leaves

from ..rows import CASES, FAMILIES, plain


class Square(Draws):
    """Inputs of the rows' square shapes."""

    def square(self):
        return True


SOURCES = (Draws, Square)
FUNCTIONS = list(dict.fromkeys(case.function for case in CASES))
every_function = pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
ROWS = {family.__name__.rpartition(".")[2]: [plain(case) for case in family.CASES] for family in FAMILIES}
every_family = pytest.mark.parametrize("rows", ROWS.values(), ids=ROWS)


def of_rows(rows: list[Case], check: Callable[[Case], None]) -> None:
    """Make a check of every row, and name the row where it fails."""
    for case in rows:
        try:
            check(case)
        except Exception as error:
            error.add_note(f"in the row {case.name}")
            raise


VIEWS = {
    "atleast_1d", "atleast_2d", "atleast_3d", "broadcast_to", "cast", "checked", "diag", "diagonal", "diff", "dsplit",
    "einsum", "expand_dims", "flatten", "flip", "fliplr", "flipud", "getitem", "hsplit", "matrix_transpose", "moveaxis",
    "pixel_shuffle", "pixel_unshuffle", "polyder", "polyint", "ravel", "real", "reshape", "rot90", "squeeze", "swapaxes",
    "tile", "transpose", "unstack", "vsplit",
}  # fmt: skip
"""Functions whose results may be views of their inputs."""


def by_definition(case: Case) -> Iterator[Case]:
    """The row with the definition of its op, if a kernel has the op and the definition takes these parameters."""
    op = getattr(case.function, "op", None)
    if op is None or op.prepare is None or op.signature.residuals or op.signature.variadic:
        return
    if case.params.keys().isdisjoint(op.signature.composed):
        yield replace(case, function=op.raw)


def check(case: Case, source: type[Draws]) -> None:
    """The value is the reference, and the gradients are those of finite differences: of memory, layouts and regimes, too.

    The inputs stay as they are, and the value has memory of its own. The definition of an op that has a kernel gives the same.
    """
    arrays = case.draw(source(np.random.default_rng(0)))
    before = [a.copy() for a in arrays]
    expected = case.expected(*arrays)
    for form in (case, *by_definition(case)):
        y = form.call(*arrays)
        np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-13)
        assert case.function.__name__ in VIEWS or not any(np.may_share_memory(y, a) for a in arrays)
    for a, b in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(a, b)
    if case.order:
        assert_gradients(case, *arrays, order=1, directions=1, budget=0)


@pytest.mark.whole
@every_function
def test_values_and_gradients(function):
    rows = [case for case in CASES if case.function is function]
    equal = [replace(case.tied(), order=0) for case in rows if case.selects]
    for source in SOURCES:
        of_rows([*rows, *equal], lambda case: check(case, source))  # noqa: B023


def recorded(case: Case, arrays, layout=np.array) -> tuple[list[tg.Tensor], Any, Any]:
    """Leaves in a memory layout, the recorded result, and an incoming gradient whose elements differ."""
    xs = [tg.from_numpy(layout(a)) for a in arrays]
    for x in xs:
        x.requires_grad = bool(case.order) and x.dtype.kind == "f"
    y = case.call(*xs)
    assert isinstance(y, tg.Tensor)
    return xs, y, np.cos(np.arange(y.size)).reshape(y.shape).astype(y.dtype)


def computed(case: Case, arrays, layout=np.array) -> list[Any]:
    """The value, then the gradients of the floating-point inputs; None for one that gets none."""
    xs, y, g = recorded(case, arrays, layout)
    if y.requires_grad:
        y.backward(layout(g))
    return [y.numpy(), *(None if x.grad is None else x.grad.numpy() for x in xs if x.requires_grad)]


def assert_near(found, expected, rtol: float) -> None:
    """Each array is near the other, relative to the largest of all elements: an array of zeros may be a difference of those."""
    sizes = [np.abs(b[np.isfinite(b)]).max(initial=0) for b in expected if b is not None and b.dtype.kind in "fc"]
    for a, b in zip(found, expected, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol * max(sizes, default=0))


@pytest.mark.whole
@every_family
def test_memory_layouts(rows):
    """Values and gradients depend neither on the layouts of the inputs, of which each has another, nor on that of g."""

    def check(case: Case) -> None:
        draw = np.random.default_rng(zlib.crc32(case.name.encode()))
        odd = [LAYOUTS[name] for name in LAYOUTS if name != "plain"]
        arrays = case.draw(Draws(np.random.default_rng(0)))
        found = computed(case, arrays, lambda a: odd[draw.integers(len(odd))](a))
        assert_near(found, computed(case, arrays), 1e-11)

    of_rows(rows, check)


PUBLIC = {
    original(function): function
    for module in (tg, tg.linalg, tg.fft)
    for function in map(vars(module).get, module.__all__)
}
"""The functions that users call, by what the library calls."""


@every_family
def test_lists_in_place_of_arrays(rows):
    """A function of nested lists has the bits of the arrays that these are, or says that they are lists."""

    def check(case: Case) -> None:
        drawn = case.draw(Draws(np.random.default_rng(0)))
        if case.function not in PUBLIC or case.via is not Case.via or not all(a.size for a in drawn):
            return  # what calls the function may ask for an array, and empty lists may stand for another shape
        call = replace(case, function=PUBLIC[case.function]).call
        lists = [a.tolist() for a in drawn]
        arrays = [np.asarray(each) for each in lists]  # whose integers are those of the system
        try:
            found = call(*lists)
        except TypeError as error:
            if not re.search("is (a )?list; it must be", str(error)):
                raise
            return
        for (_, a), (_, b) in zip(leaves(found), leaves(call(*arrays)), strict=True):
            assert np.array_equal(a, b, equal_nan=True)
            assert np.asarray(a).dtype == np.asarray(b).dtype

    of_rows(rows, check)


def swapped(array: np.ndarray) -> np.ndarray:
    """The array in the other byte order."""
    return array.astype(array.dtype.newbyteorder("S"))


@pytest.mark.whole
@every_family
def test_the_other_byte_order(rows):
    """Arrays in the other byte order have the bits of the same numbers in the machine's, in which the results are."""

    def check(case: Case) -> None:
        arrays = case.draw(Draws(np.random.default_rng(0)))
        others = [swapped(a) for a in arrays]
        beside = [[tg.Tensor(a), *arrays[1:]] for a in arrays[:1]]
        other_beside = [[tg.Tensor(a), *others[1:]] for a in others[:1]]
        for given, expected in zip([others, *other_beside], [arrays, *beside], strict=True):
            for (_, a), (_, b) in zip(leaves(case.call(*given)), leaves(case.call(*expected)), strict=True):
                a, b = (x.numpy() if isinstance(x, tg.Tensor) else np.asarray(x) for x in (a, b))
                assert a.dtype.isnative
                assert a.dtype == b.dtype
                assert np.array_equal(a, b, equal_nan=a.dtype.kind in "fc")

    of_rows(rows, check)


BY_COMPLEX_NUMBERS = {"det_phase", "dft", "half_dft", "imaginary", "real_inverse"}
"""Functions that compute with complex numbers, of which NumPy has none in float16: the result is float32."""

IN_FLOAT64 = {"moments", "weighed_places"}
"""Functions whose results are float64, whatever the inputs are."""

ILL_CONDITIONED = {"cofactors"}
"""Functions whose gradients have no digits in float32 on the rows that are there to show that they exist."""


@pytest.mark.whole
@pytest.mark.parametrize(("dtype", "units"), [(np.float32, 16), (np.float16, 2)])
@every_family
def test_narrow_dtypes(rows, dtype, units):
    """Results and gradients are in the dtype of the inputs, and as near to those in float64 as a few roundings leave them."""
    rtol = units * float(np.finfo(dtype).eps)

    def check(case: Case) -> None:
        arrays = [a.astype(dtype) if a.dtype == np.float64 else a for a in case.draw(Draws(np.random.default_rng(0)))]
        wide = computed(case, [a.astype(np.float64) if a.dtype == dtype else a for a in arrays])
        if not all(a is None or np.isfinite(a).all() for a in wide):
            return
        try:
            found = computed(case, arrays)
        except TypeError as error:
            if dtype == np.float16 and "array type float16 is unsupported in linalg" in str(error):
                return
            raise
        exempt = IN_FLOAT64 | (BY_COMPLEX_NUMBERS if dtype == np.float16 else set())
        if wide[0].dtype == np.float64 and case.params.get("dtype") is None and case.function.__name__ not in exempt:
            assert found[0].dtype == dtype
        assert {a.dtype for a in found[1:] if a is not None} <= {np.dtype(dtype)}
        if case.function.__name__ not in ILL_CONDITIONED:
            assert_near([a if a is None else a.astype(b.dtype) for a, b in zip(found, wide, strict=True)], wide, rtol)

    of_rows(rows, check)


NAN_TIMES_ZERO = {
    "add_columns", "box_convert", "columns", "conv_transpose2d", "conv_transpose3d", "convolve_dw", "convolve_dx",
    "correlations", "dft", "fold", "grid_sample", "half_dft", "interpolate", "nll_loss", "recurrence", "resample",
    "scaled_dot_product_attention", "unfold",
}  # fmt: skip
"""Functions whose references multiply numbers that take no part by 0, or sum each number with others."""

OTHER_IF_NAN = {
    "exponent", "frexp", "hardswish_pull", "max_pool_which", "moments", "multi_margin_loss", "multilabel_margin_loss",
    "quantile", "sort", "topk", "weighed_places",
}  # fmt: skip
"""Functions that choose otherwise than their references where a NaN is compared, or refuse it."""


@pytest.mark.whole
@every_family
def test_a_nan(rows):
    """It reaches the elements of the value that it reaches in the reference."""

    def check(case: Case) -> None:
        arrays = case.draw(Draws(np.random.default_rng(0)))
        for a in arrays:
            if a.dtype.kind == "f" and a.size:
                a.reshape(-1)[a.size // 2] = np.nan
        if case.function.__name__ in NAN_TIMES_ZERO | OTHER_IF_NAN or not any(map(np.any, map(np.isnan, arrays))):
            return
        with np.errstate(all="ignore"):
            try:
                expected = case.expected(*arrays)
            except REFUSED:
                return
            try:
                y = case.call(*arrays)
            except ValueError as error:  # some builds of LAPACK refuse a NaN
                if isinstance(error, np.linalg.LinAlgError) or "On entry to" in str(error):
                    return
                raise
            np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-13)

    of_rows(rows, check)


REFERENCES_IN_FLOATS = {
    "<lambda>", "batch_norm", "bernoulli_nll", "binary_cross_entropy", "cosine_similarity", "divergence", "grid_sample",
    "group_norm", "instance_norm", "kl_div", "layer_norm", "local_response_norm", "log_ratio", "rms_norm", "tversky_loss",
}  # fmt: skip
"""Functions whose references hold for floating-point numbers, or not where integers fall on a kink, as log(0) does."""

REFUSED = (ArithmeticError, IndexError, RuntimeError, TypeError, ValueError)
"""What a reference raises for inputs that are not meant for it."""


@pytest.mark.whole
@every_family
def test_integers(rows):
    """Integers have the value of the reference, and arrays and Tensors the same bits; or a TypeError names the function."""

    def check(case: Case) -> None:
        drawn = case.draw(Draws(np.random.default_rng(0)))
        arrays = [np.rint(a).astype(int) if a.dtype == np.float64 else a for a in drawn]
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                expected = np.asarray(case.expected(*arrays))
            except REFUSED:
                return
            try:
                y = np.asarray(case.call(*arrays))
            except TypeError as error:
                if str(error).startswith(f"{case.function.__name__}: "):
                    return
                raise
            again = case.call(*map(tg.Tensor, arrays)).numpy()
        np.testing.assert_array_equal(again, y, strict=True)
        if case.function.__name__ not in REFERENCES_IN_FLOATS:
            rtol = 1e-2 if y.dtype.kind == "f" and y.dtype.itemsize < 8 else 1e-12
            np.testing.assert_allclose(y.astype(float), expected.astype(float), rtol=rtol, atol=rtol)

    of_rows(rows, check)


REFUSE_EMPTY = {
    "<lambda>", "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d", "add_along_axis", "affine_grid",
    "avg_pool2d", "box_area", "box_iou", "compress", "conv1d", "conv2d", "conv3d", "conv_transpose1d",
    "conv_transpose2d", "convolve", "convolve_dw", "convolve_dx", "correlations", "cross_entropy", "ctc_loss",
    "deform_conv2d", "dice_loss", "distance_box_iou", "flat_indices", "generalized_box_iou", "grid_sample",
    "interpolate", "layer_norm", "logsumexp", "matrix_norm", "max_unpool2d", "median", "multi_margin_loss",
    "multilabel_margin_loss", "nanmedian", "nll_loss", "norm", "one_hot", "pad", "put_elements", "qr", "qr_packed",
    "real_inverse", "recurrence", "rms_norm", "roi_align", "roi_pool", "scaled_dot_product_attention", "scatter_add",
    "scatter_reduce", "singular_diagonal", "singular_weighted", "spread_windows", "take_elements", "tversky_loss",
    "unfold",
}  # fmt: skip
"""Functions that refuse some empty axes which their references take: those of filters, classes or targets, for example."""

CHECKED_BY_CALLERS = {"convolve", "convolve_dw", "convolve_dx"}
"""Ops whose callers refuse filters without channels."""

OTHER_IF_EMPTY = {"cosine_similarity", "cov", "kl_div", "max_pool_which", "moments", "poly", "weighed_places"}
"""Functions whose result over an empty axis is another than that of the reference: most have 0 for the mean of nothing."""


def with_an_empty_axis(case: Case) -> Iterator[Case]:
    """The row with each of its sizes in turn 0, in all inputs that have an axis of it."""
    shapes = [(2, 3) if arg.shape is None else arg.shape for arg in case.args]
    for size in dict.fromkeys(n for shape in shapes for n in shape if n > 1):
        emptied = [tuple(0 if n == size else n for n in shape) for shape in shapes]
        yield replace(case, args=tuple(replace(a, shape=shape) for a, shape in zip(case.args, emptied, strict=True)))


@pytest.mark.whole
@every_family
def test_empty_axes(rows):
    """The value is the reference, and the gradients have the shapes of the inputs, and are 0 where the result is empty."""

    def check(case: Case) -> None:
        for empty in with_an_empty_axis(case):
            with np.errstate(all="ignore"), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    arrays = empty.draw(Draws(np.random.default_rng(0)))
                    expected = np.asarray(empty.expected(*arrays))
                except REFUSED:
                    continue
                try:
                    y, *gradients = computed(empty, arrays)
                    again = np.asarray(empty.call(*arrays))
                except (IndexError, ValueError):
                    if case.function.__name__ in REFUSE_EMPTY:
                        continue
                    raise
                except ZeroDivisionError:
                    if case.function.__name__ in CHECKED_BY_CALLERS:
                        continue
                    raise
            np.testing.assert_array_equal(again, y, strict=True)
            if case.function.__name__ not in OTHER_IF_EMPTY:
                np.testing.assert_allclose(y, expected)
                assert y.shape == expected.shape
            for g, a in zip(gradients, [a for a in arrays if a.dtype.kind == "f"], strict=False):
                assert g is None or g.shape == a.shape
                assert g is None or y.size or not g.any()

    of_rows(rows, check)


@pytest.mark.whole
@every_family
def test_walks(rows):
    """Gradients of a graph that is walked twice add up in new memory; the walk without ``retain_graph`` is the last.

    No gradient shares memory with another one, with a value, or with the gradient that was given.
    """

    def check(case: Case) -> None:
        xs, y, g = recorded(case, case.draw(Draws(np.random.default_rng(0))))
        if not y.requires_grad:
            return
        given = g.astype(np.float32).astype(g.dtype)
        y.backward(given, retain_graph=True)
        first = [x.grad for x in xs if x.grad is not None]
        memory = [given, *(t.numpy() for t in (y, *xs, *first))]
        for i in range(len(xs) + 2, len(memory)):
            assert not any(np.may_share_memory(memory[i], other) for other in memory[:i])
        kept = [grad.numpy().copy() for grad in first]
        y.backward(given.astype(np.float32))  # which becomes the result's dtype
        second = [x.grad for x in xs if x.grad is not None]
        for held, once, twice in zip(first, kept, second, strict=True):
            np.testing.assert_array_equal(held.numpy(), once)
            np.testing.assert_allclose(twice.numpy(), 2 * once, rtol=1e-12)
            assert twice.dtype == once.dtype == np.float64
        if not y.is_leaf:  # as where a function returns its argument
            with pytest.raises(RuntimeError, match="was freed by an earlier backward"):
                y.backward(given)

    of_rows(rows, check)


@pytest.mark.whole
@every_family
def test_results_that_are_used_twice(rows):
    """The gradient of y + y, of y * 1 beside y, and of each input given to two calls is twice that of y.

    Beside a part of y, the gradient of y is that of a larger incoming gradient for this part.
    """

    def check(case: Case) -> None:
        arrays = case.draw(Draws(np.random.default_rng(0)))
        xs, y, g = recorded(case, arrays)
        if not y.requires_grad or y.dtype.kind != "f":
            return
        kept = g.copy()
        leaves = [x for x in xs if x.requires_grad]
        single = tg.autograd.gradients(y, leaves, g, retain_graph=True, allow_unused=True)
        again = case.call(*xs)
        for together in (y + y, y * 1 + y, y + again):
            twice = tg.autograd.gradients(together, leaves, g, retain_graph=True, allow_unused=True)
            for a, b in zip(twice, single, strict=True):
                assert (a is None) == (b is None)
                if a is not None:
                    np.testing.assert_allclose(a.numpy(), 2 * b.numpy(), rtol=1e-12, atol=1e-13)
        if y.ndim:
            larger = g.copy()
            larger[:1] *= 2
            pairs = ((y, larger), ((y, y[:1]), (g, g[:1])))
            whole, parts = (
                tg.autograd.gradients(of, leaves, given, retain_graph=True, allow_unused=True) for of, given in pairs
            )
            for a, b in zip(whole, parts, strict=True):
                assert (a is None) == (b is None)
                if a is not None:
                    np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-12, atol=1e-13)
        np.testing.assert_array_equal(g, kept)

    of_rows(rows, check)


@pytest.mark.whole
@every_family
def test_an_input_that_is_overwritten(rows):
    """The gradients are still those of the values before, or there is an error."""

    def check(case: Case) -> None:
        arrays = case.draw(Draws(np.random.default_rng(0)))
        right = computed(case, arrays)[1:]
        for i, array in enumerate(arrays):
            xs, y, g = recorded(case, arrays)
            if not (y.requires_grad and xs[i].requires_grad):
                continue
            xs[i].copy_(array + 1)
            try:
                y.backward(g)
            except RuntimeError as error:
                if "was overwritten in place" not in str(error):
                    raise
                continue
            found = [None if x.grad is None else x.grad.numpy() for x in xs if x.requires_grad]
            assert_near(found, right, 0)

    of_rows(rows, check)
