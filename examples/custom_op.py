"""Your own op: log(1 - e^-a), with its gradient rule and a property test of the rule.

If events arrive at the rate a, then 1 - e^-a is the probability of at least one event, and a likelihood sums its logarithm.
A composition of other ops fails at small rates: in float32, 1 - e^-a is 0 below a = 3e-8, so the value is -inf and the
gradient infinite. The op is accurate, and so is its rule, at any order.

Run:  python examples/custom_op.py --plot errors.png    (the property test needs Hypothesis)
"""

import argparse
import contextlib
import importlib.util
import math
import sys
import tempfile

import numpy as np

import tinygrad_cnn as tg

EXAMPLES, QUICK_EXAMPLES = 200, 25


@tg.op(elementwise=True)
def log1mexp(a):
    """y = log(1 - e^-a), for a > 0.   a' = g / (e^a - 1) = g e^(-a - y).

    Source: M. Maechler, "Accurately computing log(1 - exp(-|a|))", 2012: one formula for each side of log 2.
    """
    small = a < math.log(2)
    near, far = np.where(small, a, 1), np.where(small, 1, a)  # each formula gets the values for which it is accurate
    return np.where(small, np.log(-np.expm1(-near)), np.log1p(-np.exp(-far)))


log1mexp.vjp(a=lambda g, a, y: g * tg.exp(-a - y))


def composed(a):
    """The same function, composed of existing ops."""
    return tg.log(1 - tg.exp(-a))


def property_test(examples):
    """Value and derivatives up to the third order are right, for arrays of any shape and layout, in both dtypes."""
    from hypothesis import given, settings
    from hypothesis import strategies as st

    from tinygrad_cnn.testing import assert_gradients
    from tinygrad_cnn.testing.strategies import arrays

    inputs = st.sampled_from([np.float32, np.float64]).flatmap(lambda dtype: arrays(dtype=dtype, low=0.25, high=4))

    @settings(max_examples=examples, database=None, deadline=None, derandomize=True)
    @given(a=inputs, order=st.integers(1, 3))
    def holds(a, order):
        naive = np.log(1 - np.exp(-a.astype(np.float64)))  # accurate enough from 0.25 to 4
        np.testing.assert_allclose(log1mexp(a), naive, rtol=1e-5 if a.dtype == np.float32 else 1e-13)
        assert_gradients(log1mexp, a, order=order, directions=1, budget=2)

    holds()


def errors(f, a):
    """The relative errors of value and gradient in float32, against accurate formulas in float64."""
    x = tg.Tensor(a, requires_grad=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        y = f(x)
        y.sum().backward()
    exact = a.astype(np.float64)
    value, slope = np.log(-np.expm1(-exact)), 1 / np.expm1(exact)
    return {"value": np.abs(y.numpy() / value - 1), "gradient": np.abs(x.grad.numpy() / slope - 1)}


def draw(path, a, found):
    """Draw the errors of op and composition against a."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    for ax, what in zip(figure.subplots(1, 2, sharey=True), ("value", "gradient"), strict=True):
        for (name, error), colour in zip(found.items(), ("#d55e00", "#0072b2"), strict=True):
            shown = np.maximum(error[what], 1e-9)  # a logarithmic axis cannot show 0
            ax.loglog(a, shown, ".", markersize=3, color=colour, label=name)
        ax.set(title=f"log(1 - e^-a): {what}", xlabel="a (where composed has no mark, it is infinite)")
    figure.axes[0].set_ylabel("relative error in float32")
    figure.axes[0].legend()
    figure.savefig(path, dpi=120)


def main(argv=None):
    """Compare the op with the composition, and run its property test."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--plot", metavar="FILE.png", help="draw the errors of op and composition")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_EXAMPLES} draws, not {EXAMPLES}, to try it out")
    given = parser.parse_args(argv)
    if given.plot and importlib.util.find_spec("matplotlib") is None:
        parser.error("argument --plot: matplotlib is not installed; pip install 'tinygrad_cnn[plot]'")
    a = np.geomspace(1e-12, 10, 1000, dtype=np.float32)
    found = {"composed": errors(composed, a), "op": errors(log1mexp, a)}
    for name, error in found.items():
        value, gradient = (f"{error[what].max():.1e}" for what in ("value", "gradient"))
        print(f"{name:8}  largest relative error of the value {value}, of the gradient {gradient}")
    if importlib.util.find_spec("hypothesis"):
        examples = QUICK_EXAMPLES if given.quick else EXAMPLES
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):  # Hypothesis writes files
            property_test(examples)
        print(f"the property test passed, with {examples} draws")
    else:
        print("the property test is left out: Hypothesis is not installed; pip install 'tinygrad_cnn[test]'")
    if given.plot:
        draw(given.plot, a, found)
        print(f"drawn: {given.plot}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
