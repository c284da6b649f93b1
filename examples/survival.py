"""How long until an event, where some are still waiting: a Weibull model fitted by SciPy with exact gradient and Hessian.

Of n patients each has a time t until the event, or until the study ended: then d = 0, the time is censored. With shape k and
scale s the log-likelihood is the sum of d (log k - k log s + (k - 1) log t) - (t / s)^k. SciPy's `minimize` takes its exact
gradient and Hessian, whose inverse at the optimum gives the standard errors. For two parameters there is a form that needs no
optimizer, printed beside it; with a scale that depends on covariates, s = exp(a + b x), there is none.

Needs SciPy: pip install 'tinygrad_cnn[scipy]'.
Run:  python examples/survival.py --plot survival.png
"""

import argparse
import importlib.util
import sys

import numpy as np

try:
    from scipy.optimize import brentq, minimize
except ModuleNotFoundError:
    sys.exit("survival.py: SciPy is not installed; pip install 'tinygrad_cnn[scipy]'")

import tinygrad_cnn as tg

SHAPE, SCALE, EFFECT = 1.5, 2.0, 0.5  # the true ones; EFFECT is b
PATIENTS, QUICK_PATIENTS = 5000, 400


def patients(rng, n, effect=0.0):
    """Times, whether each ends with the event, and a covariate. The study ends at a random time for each."""
    x = rng.standard_normal(n)
    time = SCALE * np.exp(effect * x) * rng.weibull(SHAPE, n)
    end = rng.uniform(0.5, 5.0, n)
    return np.minimum(time, end), (time <= end).astype(float), x


def loss(p, t, d, design):
    """The mean negative log-likelihood. p holds log k, and the coefficients of log s in the columns of the design."""
    z = np.exp(p[0]) * (np.log(t) - design @ p[1:])  # log (t / s)^k
    return (np.exp(z) - d * (p[0] + z - np.log(t))).mean()


def fit(t, d, *covariates):
    """The parameters at the optimum, and their standard errors."""
    data = t, d, np.stack([np.ones_like(t), *covariates], axis=1)
    found = minimize(
        tg.value_and_grad(loss, numpy=True),
        np.zeros(2 + len(covariates)),
        args=data,
        jac=True,
        hess=lambda p, *data: tg.hessian(loss)(p, *data).numpy(),
        method="trust-exact",
        options={"gtol": 1e-10},
    )
    information = len(t) * tg.hessian(loss)(found.x, *data).numpy()
    return found.x, np.sqrt(np.diag(np.linalg.inv(information)))


def closed_form(t, d):
    """log k and log s: s^k is the sum of t^k over the number of events, and k the root of the equation that is left."""

    def equation(k):
        w = t**k
        return (w @ np.log(t)) / w.sum() - 1 / k - (d @ np.log(t)) / d.sum()

    k = brentq(equation, 1e-3, 100, xtol=1e-14)
    return np.array([np.log(k), np.log((t**k).sum() / d.sum()) / k])


def draw(path, t, d, p):
    """Draw the share without the event: as counted, by Kaplan's and Meier's estimate, and as fitted."""
    from matplotlib.figure import Figure

    order = np.argsort(t)
    counted = np.cumprod(1 - d[order] / np.arange(len(t), 0, -1))
    figure = Figure(figsize=(7, 3.2), layout="constrained")
    ax, line = figure.subplots(), np.linspace(0, t.max(), 200)
    ax.step(t[order], counted, where="post", color="#0072b2", label="counted (Kaplan-Meier)")
    ax.plot(line, np.exp(-((line / np.exp(p[1])) ** np.exp(p[0]))), color="#d55e00", label="Weibull")
    ax.set(xlabel="time", ylabel="share without the event")
    ax.legend()
    figure.savefig(path, dpi=120)


def main(argv=None):
    """Fit two parameters, beside the closed form, and then a covariate's effect."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--plot", metavar="FILE.png", help="draw the share without the event")
    parser.add_argument(
        "--quick", action="store_true", help=f"{QUICK_PATIENTS} patients, not {PATIENTS}, to try it out"
    )
    given = parser.parse_args(argv)
    if given.plot and importlib.util.find_spec("matplotlib") is None:
        parser.error("argument --plot: matplotlib is not installed; pip install 'tinygrad_cnn[plot]'")
    rng, n = np.random.default_rng(0), QUICK_PATIENTS if given.quick else PATIENTS
    t, d, _ = patients(rng, n)
    p, errors = fit(t, d)
    direct = closed_form(t, d)
    print(f"{n} patients, {n - d.sum():.0f} of them censored; the true shape is {SHAPE}, the scale {SCALE}")
    for label, values in (("SciPy", p), ("closed form", direct)):
        print(f"{label}: shape {np.exp(values[0]):.8f}, scale {np.exp(values[1]):.8f}")
    print(f"standard errors of their logarithms: {errors[0]:.3f}, {errors[1]:.3f}")
    effect, errors = fit(*patients(rng, n, EFFECT))
    print(f"effect of a covariate: {effect[2]:.3f} with a standard error of {errors[2]:.3f}, where {EFFECT} is true")
    if given.plot:
        draw(given.plot, t, d, p)
        print(f"drawn: {given.plot}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
