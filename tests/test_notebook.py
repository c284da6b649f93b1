"""The notebook's own code, run as it was published, against its replay with Tensors.

The cells in NOTEBOOK are the notebook's, word for word. They are executed with a `RandomState` in place of NumPy's global
generator, either as they are or with named repairs. So the oracle of this file is the notebook itself.
"""

import ast
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import numpy as np
import pytest

import tinygrad_cnn as tg

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = ROOT / "examples" / "notebook_replay.py"
PAGE = ROOT / "docs" / "notebook.md"

NOTEBOOK = (ROOT / "docs" / "playground" / "playground" / "notebook.txt").read_text(encoding="utf-8")

# Repairs: text of the notebook and what should stand there.
WHOLE_MAP = {"for h in range(H):": "for h in range(16):", "for w in range(Wid):": "for w in range(16):"}
TARGETS = {"d_Y = 2 * y": "d_Y = 2 * (y - Y_test)"}
NO_DIVISIONS = {".T) / m": ".T)", "fc_1024) / m": "fc_1024)", "keepdims=True)/m": "keepdims=True)"}
LOSS_GRADIENT = {"d_Y = 2 * y": "d_Y = 2 * (y - Y_test) / m"} | NO_DIVISIONS

# The name of a gradient in the notebook, and of its array in the example.
GRADIENTS = {
    "d_images": "images", "dW": "W", "db": "b", "d_w1024": "w1024", "d_b1024": "b1024", "d_w10": "w10", "d_b10": "b10",
}  # fmt: skip


def cells():
    return [dedent(cell) for cell in re.split(r"^In \[\d+\]:\n", NOTEBOOK, flags=re.MULTILINE)[1:]]


def run_notebook(repairs=None):
    """The notebook's variables after all cells ran, with the text replacements of `repairs` made first."""
    source = "\n".join(cells())
    for old, new in (repairs or {}).items():
        assert old in source
        source = source.replace(old, new)
    space = {"random": np.random.RandomState()}
    exec(source.replace("np.random.", "random."), space)
    return space


@pytest.fixture(scope="module")
def published():
    return run_notebook()


@pytest.fixture(scope="module")
def corner():
    """The network as printed, with the right gradients."""
    return run_notebook(LOSS_GRADIENT)


@pytest.fixture(scope="module")
def meant():
    """The network as meant, with the right gradients."""
    return run_notebook(WHOLE_MAP | LOSS_GRADIENT)


@pytest.fixture
def example():
    spec = importlib.util.spec_from_file_location("notebook_replay", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def loss_of(example, arrays, targets, corner=None):
    """The leaves by name, y and the loss."""
    leaves = {name: tg.Tensor(array, requires_grad=True) for name, array in arrays.items()}
    y = example.network(**leaves, corner=corner)
    return leaves, y, tg.mse(y, tg.Tensor(targets))


# The forward pass


def test_the_draws_are_the_notebooks(example, published):
    arrays, targets = example.draw()
    for name, in_notebook in {"w1024": "W_fc_1024", "b1024": "b_fc_1024", "w10": "W_10", "b10": "b_10"}.items():
        np.testing.assert_array_equal(arrays[name], published[in_notebook])
    for name in ("images", "W", "b"):
        np.testing.assert_array_equal(arrays[name], published[name])
    np.testing.assert_array_equal(targets, published["Y_test"])


@pytest.mark.parametrize(
    ("repairs", "corner", "y", "mse"),
    [
        ({}, 3, [[-12.89682204, 13.37765949]], 220.13788448),
        (WHOLE_MAP, None, [[-129.71310181, -63.23262069]], 11295.92702353),
    ],
)
def test_forward_to_the_printed_digits(example, repairs, corner, y, mse):
    space = run_notebook(repairs)
    _, ours, loss = loss_of(example, *example.draw(), corner)
    assert ours.dtype == np.float64
    np.testing.assert_allclose(ours.numpy(), y, rtol=0, atol=5.1e-9)  # half a unit of the last digit printed
    np.testing.assert_allclose(loss.item(), mse, rtol=0, atol=5.1e-9)
    np.testing.assert_allclose(ours.numpy(), space["y"], rtol=1e-12)
    np.testing.assert_allclose(loss.item(), space["MSE_loss"](space["y"], space["Y_test"]), rtol=1e-12)


def test_what_the_corner_leaves_out_is_exactly_zero(published):
    Z = published["Z"]
    assert np.count_nonzero(Z) == np.count_nonzero(Z[:, :3, :3]) == 2 * 36
    assert round(np.count_nonzero(published["A"]) / Z.size, 3) == 0.019


# Gradients


@pytest.mark.parametrize("filled", [3, None])
def test_gradients_against_the_notebooks_loops(example, corner, meant, filled):
    leaves, _, loss = loss_of(example, *example.draw(), filled)
    loss.backward()
    for gradient, name in GRADIENTS.items():
        expected = (meant if filled is None else corner)[gradient]
        np.testing.assert_allclose(leaves[name].grad.numpy(), expected, rtol=1e-10, err_msg=gradient)
        assert np.any(expected)


def test_the_examples_loops_against_the_notebooks(example, meant):
    arrays, targets = example.draw()
    by_hand = example.by_hand(**arrays, targets=targets)
    for gradient, name in GRADIENTS.items():
        np.testing.assert_allclose(by_hand[name], meant[gradient], rtol=1e-10, err_msg=gradient)


@pytest.mark.parametrize("images", [(1, 7, 10), (3, 8, 5)])
def test_the_examples_loops_on_other_sizes(example, images):
    """Nothing in the example has a size of the notebook written into it."""
    rng = np.random.default_rng(3)
    m, height, width = images
    features = ((height - 1) // 2 + 1) * ((width - 1) // 2 + 1) * 5
    shapes = {
        "images": images,
        "W": (3, 3, 5),
        "b": (1, 1, 5),
        "w1024": (6, features),
        "b1024": (6, 1),
        "w10": (1, 6),
        "b10": (1, 1),
    }
    arrays = {name: rng.standard_normal(shape) for name, shape in shapes.items()}
    targets = rng.standard_normal(m)
    leaves, _, loss = loss_of(example, arrays, targets)
    loss.backward()
    for name, expected in example.by_hand(**arrays, targets=targets).items():
        np.testing.assert_allclose(leaves[name].grad.numpy(), expected, rtol=1e-10, err_msg=name)


@pytest.mark.parametrize("name", GRADIENTS.values())
def test_gradients_against_finite_differences(example, name):
    arrays, targets = example.draw()
    leaves, _, loss = loss_of(example, arrays, targets)
    loss.backward()
    gradient = leaves[name].grad.numpy()
    largest = np.unravel_index(np.argmax(np.abs(gradient)), gradient.shape)
    others = np.random.default_rng(5).integers(gradient.shape, size=(4, gradient.ndim))
    step = 1e-5
    for place in [largest, *map(tuple, others)]:
        moved = []
        for sign in (1, -1):
            array = arrays[name].copy()
            array[place] += sign * step
            moved.append(loss_of(example, arrays | {name: array}, targets)[2].item())
        # Between kinks the loss is quadratic in each number, so what remains is rounding: 1e4 * 2^-53 / step, times a few.
        np.testing.assert_allclose(gradient[place], (moved[0] - moved[1]) / (2 * step), rtol=1e-7, atol=1e-5)


# The mistakes, measured on the notebook's own code


def relative_error(wrong, right):
    return np.linalg.norm(wrong - right) / np.linalg.norm(right)


def cosine(a, b):
    return (a * b).sum() / np.linalg.norm(a) / np.linalg.norm(b)


def test_errors_of_the_published_gradients_are_those_of_the_page(published, corner, meant):
    whole = run_notebook(WHOLE_MAP)
    rows = dict(re.findall(r"^\| (d\w+) \| (.*) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE))
    assert list(rows) == list(GRADIENTS)
    for name, row in rows.items():
        errors = relative_error(published[name], corner[name]), relative_error(whole[name], meant[name])
        assert row == "{:.2f} | {:.2f}".format(*errors), name


def test_forgetting_the_targets_turns_signs_around(published, corner):
    assert published["d_b10"].round(2).item() == 0.48
    assert corner["d_b10"].round(2).item() == -7.67
    assert cosine(published["d_b1024"], corner["d_b1024"]) == pytest.approx(-1)


def test_gradient_of_the_printed_network_says_little_about_the_one_meant(corner, meant):
    assert round(cosine(corner["dW"], meant["dW"]), 2) == 0.12
    assert round(cosine(corner["d_w1024"], meant["d_w1024"]), 2) == 0.07


def test_three_gradients_are_not_divided_by_m(meant):
    divided = run_notebook(WHOLE_MAP | TARGETS)
    ratio = {name: relative_error(divided[name], meant[name]) for name in GRADIENTS}
    assert {name for name, error in ratio.items() if error == pytest.approx(1)} == {"d_images", "dW", "db"}
    assert all(ratio[name] < 1e-12 for name in GRADIENTS.keys() - {"d_images", "dW", "db"})
    for name in ("d_images", "dW", "db"):
        np.testing.assert_allclose(divided[name], 2 * meant[name], rtol=1e-10)


def test_images_repeat_the_weights(published):
    weights = np.concatenate([published[name].ravel() for name in ("W", "b", "W_fc_1024")])
    np.testing.assert_array_equal(published["images"].ravel(), weights[:2048])


def test_only_a_corner_of_the_images_is_read(corner):
    d_images = corner["d_images"].copy()
    assert np.any(d_images[:, :6, :6])
    d_images[:, :6, :6] = 0
    assert not np.any(d_images)


def test_values_that_are_kept_and_not_used():
    tree = ast.parse("\n".join(cells()))
    read = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    stored = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    assert {"fc_cache1", "fc_cache2", "no_of_images"} <= stored - read
    (backward,) = (node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "conv_backward")
    names = [node for node in ast.walk(backward) if isinstance(node, ast.Name)]
    for name in ("image_pad", "b"):
        assert [type(node.ctx) for node in names if node.id == name] == [ast.Store]


def test_the_cell_of_the_loss_does_not_run_as_a_file():
    cell = NOTEBOOK.split("In [7]:\n")[1].split("\n\n")[0]
    with pytest.raises(IndentationError):
        compile(cell, "cell", "exec")


# The page and the example


def test_quotations_on_the_page_are_true():
    """Blocks on the page that begin with `# notebook` or `# <file>` hold lines of that source."""
    quotations = re.findall(
        r"^```text\n# (\S+)\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    assert len(quotations) >= 10
    for source, text in quotations:
        lines = NOTEBOOK if source == "notebook" else (ROOT / source).read_text(encoding="utf-8")
        known = {line.strip() for line in lines.splitlines()}
        for line in text.splitlines():
            assert line.strip() in known, f"{source} has no line {line!r}"


def run_example(cwd, script=EXAMPLE):
    return subprocess.run(
        [sys.executable, "-W", "error", str(script)],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(Path(tg.__file__).parent.parent)},
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )


def test_the_example_runs_and_prints_what_it_promises(tmp_path):
    done = run_example(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    out = done.stdout
    rows = {line.split()[0] if line.startswith("d") else line[:10].strip(): line for line in out.splitlines()}
    assert rows["as printed"].split()[2:] == ["-12.89682204", "13.37765949", "220.13788448", "agrees"]
    assert rows["as meant"].split()[2:] == ["-129.71310181", "-63.23262069", "11295.92702353", "agrees"]
    for gradient in GRADIENTS:
        *_, difference, verdict = rows[gradient].split()
        assert verdict == "agrees"
        assert float(difference) < 1e-10
    assert out.endswith("Everything agrees.\n")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_the_example_fails_if_something_differs(tmp_path):
    source = EXAMPLE.read_text(encoding="utf-8")
    assert "220.13788448" in source
    script = tmp_path / "changed.py"
    script.write_text(source.replace("220.13788448", "220.13788449"), encoding="utf-8")
    done = run_example(tmp_path, script)
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stdout.endswith("Rows that differ: 1.\n")


def test_the_example_says_what_differs(example, monkeypatch, capsys):
    honest = example.by_hand

    def slightly_wrong(**arrays):
        gradients = honest(**arrays)
        gradients["W"][0, 0, 0] *= 1 + 1e-9
        return gradients

    monkeypatch.setattr(example, "by_hand", slightly_wrong)
    (label, corner, y, mse), meant = example.EXPECTED
    monkeypatch.setattr(example, "EXPECTED", [(label, corner, y, mse + 1e-8), meant])
    assert example.main() == 2
    out = capsys.readouterr().out
    assert [line.split()[0] for line in out.splitlines() if "DIFFERS" in line] == ["as", "dW"]
    assert out.endswith("Rows that differ: 2.\n")


def test_largest_relative_difference(example):
    a = np.array([0.0, 1.0, -2.0])
    assert example.largest_relative_difference(a, a) == 0
    assert example.largest_relative_difference(a, np.array([0.0, 1.0, -4.0])) == 0.5
    assert example.largest_relative_difference(a + 1e-300, a) == np.inf
    assert not example.largest_relative_difference(np.array([np.nan]), np.array([1.0])) < 1
