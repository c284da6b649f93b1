"""The short examples in their quick form: each prints a number which shows that it worked, and draws its picture."""

import importlib.util
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import Phase, settings

from tinygrad_cnn.testing import mutants

from . import profiles
from .pictures import check_saved_pictures

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
NAMES = [
    "logistic_regression", "custom_op", "denoising_autoencoder", "adversarial", "physics", "meta_gradient", "ode",
    "ridge_hyperparameters", "segmentation", "detection", "phase_retrieval",
]  # fmt: skip
DRAWS = importlib.util.find_spec("matplotlib") is not None


def load(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("pictures")


@pytest.fixture
def quick(folder, monkeypatch, capsys):
    """A function that runs an example in its quick form, with its picture if it can be drawn, and gives what it printed."""

    def run(name):
        monkeypatch.chdir(folder)
        if DRAWS:
            check_saved_pictures(monkeypatch)
        assert load(name).main(["--quick", *(["--plot", f"{name}.png"] if DRAWS else [])]) == 0
        out, err = capsys.readouterr()
        assert err == ""
        if DRAWS:
            assert out.endswith(f"drawn: {name}.png\n")
            check_picture(folder / f"{name}.png")
        return out

    return run


def check_picture(path):
    """It is an image of some size, with colours in both halves."""
    from matplotlib.image import imread

    pixels = imread(path)[..., :3]
    height, width, _ = pixels.shape
    assert min(height, width) > 300
    for half in (pixels[:, : width // 2], pixels[:, width // 2 :]):
        assert len(np.unique(half.reshape(-1, 3), axis=0)) > 10


def number(pattern, text):
    """The number, or numbers, that the groups of `pattern` find in the text."""
    found = [float(group) for group in re.search(pattern, text, re.MULTILINE).groups()]
    return found[0] if len(found) == 1 else found


def test_the_gallery_shows_every_example():
    gallery = (ROOT / "docs" / "examples.md").read_text(encoding="utf-8")
    assert [path.name for path in EXAMPLES.glob("*.py") if f"](../examples/{path.name})" not in gallery] == []


@pytest.mark.parametrize("name", NAMES)
def test_an_example_says_how_to_run_it(name):
    text = (EXAMPLES / f"{name}.py").read_text(encoding="utf-8")
    assert f"\nRun:  python examples/{name}.py" in text.split('"""')[1]


@pytest.mark.parametrize("name", NAMES)
def test_without_matplotlib_a_picture_is_refused_before_any_work(name, monkeypatch, capsys):
    example = load(name)
    monkeypatch.setattr(importlib.util, "find_spec", lambda module: None)
    with pytest.raises(SystemExit):
        example.main(["--quick", "--plot", "picture.png"])
    out, err = capsys.readouterr()
    assert out == ""
    assert "argument --plot: matplotlib is not installed; pip install 'tinygrad_cnn[plot]'" in err


@pytest.mark.parametrize(
    ("name", "missing", "extra"),
    [
        ("onnx_finetune", "onnx", "onnx"),
        ("sklearn_pipeline", "sklearn", "sklearn"),
        ("train_on_devices", "jax", "jax"),
        ("survival", "scipy", "scipy"),
    ],
)
def test_a_missing_package_is_named_before_any_work(name, missing, extra, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, missing, None)
    for module in ("decomposition", "optimize"):
        monkeypatch.setitem(sys.modules, f"{missing}.{module}", None)
    with pytest.raises(SystemExit) as error:
        load(name).main(["--quick"])
    out, err = capsys.readouterr()
    assert out == ""
    assert f"is not installed; pip install 'tinygrad_cnn[{extra}]'" in f"{err}{error.value}"


def test_logistic_regression(quick):
    share = number(r"^([\d.]+)% of 359 images that were not trained on are right", quick("logistic_regression"))
    assert 90 < share < 100, "guessing gives 10"


@pytest.mark.slow
def test_custom_op(quick):
    out = quick("custom_op")
    row = r"largest relative error of the value ([\w.+-]+), of the gradient ([\w.+-]+)$"
    assert max(number(f"^op +{row}", out)) < 1e-5
    assert min(number(f"^composed +{row}", out)) == math.inf
    assert "the property test passed" in out


@pytest.mark.slow
def test_custom_op_leaves_nothing_where_it_runs(tmp_path):
    """In a process of its own: here, Hypothesis has its folder already."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("HYPOTHESIS")}
    env["PYTHONPATH"] = str(ROOT)
    command = [sys.executable, "-W", "error", str(EXAMPLES / "custom_op.py"), "--quick"]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, encoding="utf-8", timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    assert "the property test passed" in done.stdout
    assert not any(tmp_path.iterdir())


def test_custom_op_runs_without_hypothesis(monkeypatch, capsys):
    example = load("custom_op")
    monkeypatch.setattr(importlib.util, "find_spec", lambda module: None)
    assert example.main(["--quick"]) == 0
    assert "Hypothesis is not installed; pip install 'tinygrad_cnn[test]'" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("name", ["scaled by 1.001", "`y` left out", "rounded to float32"])
def test_the_property_test_of_the_custom_op_notices_a_broken_rule(name, request):
    example = load("custom_op")
    (mutant,) = (mutant for mutant in mutants(example.log1mexp) if mutant.name == name)
    settings.register_profile("as drawn", phases=[Phase.generate])  # to shrink a failure takes most of the time
    settings.load_profile("as drawn")
    try:
        with mutant, pytest.raises(AssertionError):
            example.property_test(20)
    finally:
        profiles.configure(request.config)


@pytest.mark.slow
def test_denoising_autoencoder(quick):
    out = quick("denoising_autoencoder")
    noisy, linear, network = (
        number(rf"^{label} +PSNR +([\d.]+) dB$", out) for label in ("noisy", "linear filter", "network")
    )
    assert noisy == pytest.approx(-20 * math.log10(0.4), abs=0.1)
    assert noisy + 5 < linear < network


def test_the_linear_filter_and_the_measure_of_the_denoising():
    example = load("denoising_autoencoder")
    psnr, linear_filter = example.psnr, example.linear_filter
    assert psnr(np.full((2, 2), 0.1), np.zeros((2, 2))) == pytest.approx(20)
    rng = np.random.default_rng(0)
    clean = rng.normal(0.5, 0.3, (4000, 1)) @ [[1.0, -2.0, 0.5]]
    noisy = example.add_noise(clean, rng)
    ones = np.ones((len(clean), 1))
    fitted, *_ = np.linalg.lstsq(np.hstack([noisy, ones]), clean, rcond=None)
    least = psnr(np.hstack([noisy, ones]) @ fitted, clean)  # no linear filter of these images is better
    assert least - 0.05 < psnr(linear_filter(clean, noisy), clean) <= least


@pytest.mark.slow
def test_segmentation(quick):
    out = quick("segmentation")
    assert number(r"^ground +IoU ([\d.]+)$", out) > 0.9
    assert number(r"^mean +IoU ([\d.]+)$", out) > 0.4, "all ground gives 0.2"


@pytest.mark.slow
def test_detection(quick):
    assert number(r"^mean +AP ([\d.]+)$", quick("detection")) > 0.15


def test_the_average_precision_of_the_detection():
    example = load("detection")
    truth = [np.array([[0.0, 0, 10, 10], [20, 20, 30, 30]]), np.array([[5.0, 5, 15, 15]])]
    labels = [np.array([0, 0]), np.array([0])]
    right = [(boxes, kinds, np.full(len(boxes), 0.5)) for boxes, kinds in zip(truth, labels, strict=True)]
    assert example.average_precision(right, truth, labels, 0) == 1
    twice = [(boxes.repeat(2, axis=0), kinds.repeat(2), np.array([0.9, 0.1] * len(boxes))) for boxes, kinds, _ in right]
    assert example.average_precision(twice, truth, labels, 0) == 1, "a box that is found again comes later"
    wrong = [(truth[0] + 50, labels[0], np.array([0.9, 0.8])), right[1]]
    assert example.average_precision(wrong, truth, labels, 0) == pytest.approx(
        1 / 3 / 3
    )  # the third is right, of three
    assert example.average_precision([(b[:0], k[:0], s[:0]) for b, k, s in right], truth, labels, 0) == 0


def test_each_shape_of_the_detection_has_an_anchor():
    example = load("detection")
    boxes = np.array([[3.0, 3, 13, 15], [30, 30, 34, 60]])
    classes, targets = example.matched(boxes, np.array([2, 1]))
    assert {2, 1} <= set(classes.tolist())
    assert (targets[classes == 2] == boxes[0].astype(np.float32)).all()
    assert (example.matched(boxes[:0], np.array([]))[0] == -1).all()


@pytest.mark.slow
def test_adversarial(quick):
    out = quick("adversarial")
    clean = number(r"that were not trained on: ([\d.]+)% right$", out)
    random, adversarial = (
        number(rf"changed by 0.15, {which} signs: ([\d.]+)% right$", out) for which in ("random", "gradient")
    )
    assert clean > 95
    assert random > clean - 5
    assert adversarial < 60


def test_phase_retrieval(quick):
    out = quick("phase_retrieval")
    first, last = number(r"error of the image: ([\d.]+)% at first, ([\d.]+)% after 120 steps$", out)
    assert first > 100
    assert last < 3
    example = load("phase_retrieval")
    z = example.true_image()
    assert example.error(z * np.exp(2j), z) < 1e-6  # what no measurement shows


def test_the_fast_gradient_sign_is_that_of_the_loss():
    """Of a linear model with two classes the gradient by the image is known: (p - onehot) W."""
    example = load("adversarial")
    model = example.nn.Linear(3, 2)
    w = model.weight.numpy()
    signs = example.fast_gradient_sign(model, np.zeros((1, 3), np.float32), np.array([0]))
    np.testing.assert_array_equal(signs, np.sign(w[1:] - w[:1]))
    assert all(p.grad is None for p in model.parameters())


@pytest.mark.slow
def test_physics(quick):
    out = quick("physics")
    assert number(r"^largest error ([\d.]+), for a solution between", out) < 0.05
    residuals = [float(text) for text in re.findall(r"mean squared residual (\S+)$", out, re.MULTILINE)]
    assert len(residuals) == 5
    assert residuals[-1] < residuals[0] / 10


def test_the_second_derivative_and_the_equation():
    example = load("physics")
    x = np.linspace(0, 1, 7)[:, None]
    np.testing.assert_allclose(example.second_derivative(lambda x: x**3)(x).numpy(), 6 * x, rtol=1e-12)
    h = 1e-4
    differences = (example.exact(x + h) - 2 * example.exact(x) + example.exact(x - h)) / h**2
    np.testing.assert_allclose(example.f(example.tg.Tensor(x)).numpy(), differences, atol=1e-3)


def test_the_boundary_conditions_hold_for_any_network():
    u = load("physics").Solution()
    assert u(np.array([[0.0], [1.0]], np.float32)).tolist() == [[0.0], [0.0]]


@pytest.mark.slow
def test_meta_gradient(quick):
    out = quick("meta_gradient")
    found = {
        label: number(rf"^{label} start: mean squared error ([\d.]+) on new waves, ([\d.]+) after one step$", out)
        for label in ("random", "learned")
    }
    assert found["learned"][1] < 1
    assert found["learned"][1] < found["learned"][0] / 3, "the start has no wave by heart: it takes the step"
    assert found["random"][1] > 4, "a step from anywhere does not do it"


def test_the_meta_gradient_passes_through_the_inner_step():
    """Against central differences of the outer loss by the rates and a bias, in float64."""
    example = load("meta_gradient")
    tg = example.tg
    tg.manual_seed(0)
    weights, rates = ([tg.Tensor(t.numpy(), dtype=np.float64) for t in part] for part in example.start())
    x, y, other_x, other_y = (part.astype(np.float64) for part in example.waves(np.random.default_rng(3), 3))

    def outer(bias, rate):
        w, r = [*weights[:-1], bias], [*rates[:-1], rate]
        return example.loss(example.inner_step(w, r, x, y), other_x, other_y)

    last = weights[-1].numpy(), rates[-1].numpy()
    h = 1e-5
    for argnum in (0, 1):
        high, low = ([value + sign * h * (i == argnum) for i, value in enumerate(last)] for sign in (1, -1))
        difference = (outer(*high).item() - outer(*low).item()) / (2 * h)
        assert tg.grad(outer, argnum)(*last).item() == pytest.approx(difference, rel=1e-5)


@pytest.mark.slow
def test_ode(quick):
    k, c, error = number(
        r"^true k = 4.00, c = 0.30; learned k = ([\d.]+), c = ([\d.]+), with an error of ([\d.]+)$", quick("ode")
    )
    assert abs(k - 4) < 0.15
    assert abs(c - 0.3) < 0.1
    assert error < 0.06, "that of the points is 0.05"


def test_the_adjoint_gives_the_gradient_of_the_solution_in_closed_form():
    """y' = -k y has y = s e^(-k t). Every time counts, with a weight of its own, and the times are not regular."""
    example = load("ode")
    times, weights = np.array([0.0, 0.3, 1.0, 1.4]), np.array([0.5, 2.0, -1.0, 3.0])
    s, k = (example.tg.Tensor(np.array([v]), requires_grad=True) for v in (1.5, 0.7))
    y = example.odeint(s, k, f=lambda y, k: -k * y, times=times, steps=40)
    decay = np.exp(-0.7 * times)
    np.testing.assert_allclose(y.numpy()[:, 0], 1.5 * decay, rtol=1e-8)
    (y[:, 0] * weights).sum().backward()
    np.testing.assert_allclose(s.grad.numpy(), [weights @ decay], rtol=1e-8)
    np.testing.assert_allclose(k.grad.numpy(), [weights @ (-times * 1.5 * decay)], rtol=1e-8)


@pytest.mark.slow
def test_ridge_hyperparameters(quick):
    out = quick("ridge_hyperparameters")
    one, each = (
        number(rf"^{label}: mean squared error ([\d.]+) on new rows, of which 1 is noise$", out)
        for label in ("one penalty for all", "one for each feature")
    )
    assert 1 < each < one - 0.15


def test_the_gradient_by_the_penalties_is_that_of_refitted_weights():
    """Against central differences, for which the weights are computed anew."""
    example = load("ridge_hyperparameters")
    rng = np.random.default_rng(0)
    x, y = example.data(rng, 30, np.array([1.0, -1.0, 0.0, 0.0]))
    log_penalty, direction, h = rng.standard_normal(4), rng.standard_normal(4), 1e-5
    high, low = (example.error(log_penalty + d * direction, x, y).item() for d in (h, -h))
    found = example.tg.grad(lambda p: example.error(p, x, y))(log_penalty).numpy() @ direction
    assert found == pytest.approx((high - low) / (2 * h), rel=1e-6)


@pytest.mark.slow
def test_survival(quick):
    pytest.importorskip("scipy")
    out = quick("survival")
    scipy, direct = (number(rf"^{label}: shape ([\d.]+), scale ([\d.]+)$", out) for label in ("SciPy", "closed form"))
    assert scipy == pytest.approx(direct, abs=1e-7)
    assert scipy == pytest.approx([1.5, 2.0], rel=0.15)
    effect, error = number(r"^effect of a covariate: ([\d.]+) with a standard error of ([\d.]+)", out)
    assert abs(effect - 0.5) < 3 * error < 0.2


def test_the_weibull_likelihood_is_that_of_the_density_and_of_the_censored_share():
    """-log of k/s (t/s)^(k-1) exp(-(t/s)^k) for an event, (t/s)^k for a censored time; their Hessian by differences."""
    pytest.importorskip("scipy")
    example = load("survival")
    k, s, t = 1.3, 0.7, np.array([0.4, 1.1])
    p, data = np.log([k, s]), (t, np.array([1.0, 0.0]), np.ones((2, 1)))
    density = k / s * (t[0] / s) ** (k - 1) * np.exp(-((t[0] / s) ** k))
    assert example.loss(p, *data) == pytest.approx((-np.log(density) + (t[1] / s) ** k) / 2)
    slope, h = example.tg.grad(example.loss), 1e-5
    columns = [(slope(p + d, *data).numpy() - slope(p - d, *data).numpy()) / (2 * h) for d in h * np.eye(2)]
    np.testing.assert_allclose(example.tg.hessian(example.loss)(p, *data), columns, rtol=1e-8)


def test_standard_errors_are_those_of_repeated_fits():
    pytest.importorskip("scipy")
    example, rng = load("survival"), np.random.default_rng(0)
    fits = [example.fit(*example.patients(rng, 300, example.EFFECT)) for _ in range(60)]
    found, errors = (np.array(part) for part in zip(*fits, strict=True))
    np.testing.assert_allclose(errors.mean(axis=0), found.std(axis=0), rtol=0.25)
    true = [np.log(example.SHAPE), np.log(example.SCALE), example.EFFECT]
    assert (np.abs(found.mean(axis=0) - true) < 4 * errors.mean(axis=0) / 60**0.5 + 0.01).all()
