"""The Python of the playground, without a browser, and the folder that is served."""

from __future__ import annotations

import hashlib
import json
import re
import zipfile

import numpy as np
import pytest
from build_playground import HERE, PAGE, build, main, pin
from course.exercises import EXERCISES
from playground import call, course, gradients, notebook, plane, train

import tinygrad_cnn as tg

NETWORK = "model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 10))\nprint('made')\n"
RULE = """\
@tg.op
def square(x):
    return x * x
square.vjp(x=lambda g, x: g * {slope})
gradcheck(square, np.array([[0.5, 1.0], [2.0, 3.0]]))
"""


def answered(function, *args):
    return json.loads(call.answer(function, *args))


class TestCalls:
    def test_result_and_output(self):
        reply = answered(train.start, NETWORK, "Adam", 0.01, 100)
        assert reply["output"] == "made\n"
        assert reply["result"]["parameters"] == 4 * 10 + 1450
        assert reply["result"]["batches"] == 15

    def test_of_a_long_output_the_end_is_kept(self):
        reply = answered(train.start, NETWORK + "print('x' * 50_000 + 'end')", "Adam", 0.01, 100)
        assert len(reply["output"]) == call.OUTPUT
        assert reply["output"].endswith("xend\n")

    def test_an_error_has_the_lines_of_the_user_only(self):
        error = answered(gradients.show, "def f(x):\n    return x @ x\n\na = 2.0\nf(a)\n")["error"]
        assert error["file"] == "your program"
        assert error["line"] == 2
        lines = error["text"].splitlines()
        assert [line.strip() for line in lines if line.strip().startswith("File")] == [
            'File "your program", line 5, in <module>', 'File "your program", line 2, in f',
        ]  # fmt: skip
        assert any("return x @ x" in line for line in lines)

    def test_an_error_of_the_syntax_has_a_line(self):
        error = answered(gradients.show, "a = 2.0\nb = (a\n")["error"]
        assert (error["file"], error["line"]) == ("your program", 2)
        assert "SyntaxError" in error["text"]

    @pytest.mark.parametrize("text", ["raise SystemExit(3)", "import sys; sys.exit()", "raise KeyboardInterrupt"])
    def test_nothing_ends_the_worker(self, text):
        error = answered(gradients.show, f"a = 2.0\n{text}\n")["error"]
        assert error["line"] == 2

    def test_a_deep_recursion_is_cut(self):
        error = answered(gradients.show, "def f(n):\n    return f(n + 1)\n\nf(0)\n")["error"]
        assert "RecursionError" in error["text"]
        assert len(error["text"].splitlines()) <= call.LINES + 1

    def test_what_is_refused_needs_no_traceback(self):
        error = answered(gradients.show, "print(1)")["error"]
        assert error["text"].startswith("the program's last line makes no Tensor")
        assert "Traceback" not in error["text"]

    def test_numbers_that_json_has_not(self):
        with np.errstate(all="ignore"):
            graph = answered(gradients.show, "a = 0.0\nb = a.log()\n")["result"]["graph"]
        assert any(node["value"]["values"] == "-Infinity" for node in graph["nodes"])


class TestTrain:
    def test_steps_are_those_of_a_loop(self):
        train.start(NETWORK, "SGD", 0.1, 1500)
        points = train.advance(0, 0.1, 1)["news"]["series"]["step loss"]["points"]
        points += train.advance(0, 0.05, 2)["news"]["series"]["step loss"]["points"]
        assert [step for step, _ in points] == [1, 2]
        tg.manual_seed(0)
        space = {"nn": tg.nn}
        exec(NETWORK, space)
        model = space["model"]
        optimizer = tg.optim.SGD(model.parameters(), lr=0.1)
        images, classes = tg.data.digits()
        x, y = (images[:1500, None] / 16).astype(np.float32), classes[:1500]
        for _, found in points:
            loss = tg.cross_entropy(model(tg.Tensor(x)), y)
            assert found == pytest.approx(loss.item(), rel=1e-4)  # the loader has another order
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    def test_it_stops_at_the_end_of_an_epoch(self):
        train.start(NETWORK, "Adam", 0.01, 300)
        assert train.advance(60, 0.01, 1)["epochs"] == 1
        assert train.advance(60, 0.01, 3)["epochs"] == 3

    def test_the_digit_that_is_looked_at(self):
        train.start(NETWORK, "Adam", 0.01, 100)
        given = train.example(3)
        seen = train.look(given["pixels"])
        model = train.training.model.eval()
        x = tg.Tensor(np.array(given["pixels"], np.float32).reshape(1, 1, 8, 8) / 16)
        assert seen["probabilities"] == pytest.approx(tg.softmax(model(x), axis=1).numpy()[0].tolist())
        assert seen["guess"] == np.argmax(seen["probabilities"])
        assert [each["shape"] for each in seen["maps"]] == [[4, 6, 6], [4, 6, 6]]
        assert all(
            each["picture"].startswith("data:image/png;base64,")
            for each in (*seen["maps"], {"picture": seen["saliency"]})
        )

    @pytest.mark.parametrize(
        ("source", "lr", "message"),
        [
            ("x = 1", 0.1, "`model` does not exist"),
            ("model = 3", 0.1, "`model` is of class int"),
            ("model = nn.Flatten()", 0.1, "must be ten scores"),
            ("model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))", 0, "the rate is 0"),
            ("model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))", float("nan"), "the rate is nan"),
            ("class Ten(nn.Module):\n    def forward(self, x):\n        return tg.zeros(len(x), 10)\nmodel = Ten()", 1.0,
             "the model has no parameters"),
        ],
    )  # fmt: skip
    def test_what_cannot_be_trained_is_refused(self, source, lr, message):
        assert message in answered(train.start, source, "Adam", lr, 100)["error"]["text"]

    def test_a_step_that_fails_ends_the_training(self):
        source = (
            "class Odd(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
            "        self.inner = nn.Linear(64, 10)\n    def forward(self, x):\n"
            "        if self.training:\n            raise ValueError('no')\n        return self.inner(x.flatten(1))\n"
            "model = Odd()\n"
        )
        assert "result" in answered(train.start, source, "Adam", 0.1, 100)
        error = answered(train.advance, 0, 0.1, 1)["error"]
        assert error["line"] == 7
        assert "ValueError: no" in error["text"]
        assert train.look([0] * 64) is None


class TestGradients:
    def test_values_gradients_and_places_of_numbers(self):
        shown = gradients.show("ä = 1; a = 2.0\nb = -3.5e0\nc = 4\n(a * b).exp() + c\n")
        assert shown["leaves"] == [
            {"name": "a", "value": 2.0, "line": 1, "start": 11, "end": 14},
            {"name": "b", "value": -3.5, "line": 2, "start": 4, "end": 10},
        ]
        by_name = {node.get("name"): node for node in shown["graph"]["nodes"]}
        assert by_name["a"]["gradient"]["values"] == pytest.approx(-3.5 * np.exp(-7), rel=1e-5)
        assert by_name["b"]["gradient"]["values"] == pytest.approx(2 * np.exp(-7), rel=1e-5)

    def test_the_last_assignment_of_a_tensor_is_shown(self):
        shown = gradients.show("a = 2.0\nloss = a * a\nn = 3\n")
        assert shown["graph"]["title"] == "loss"

    def test_a_right_rule(self):
        found = gradients.check(RULE.format(slope="2 * x"))
        assert found["passed"]
        assert found["incoming"] == "ones"
        assert found["tables"][0]["wrong"] == []
        assert found["tables"][0]["rules"] == [[1.0, 2.0], [4.0, 6.0]]

    def test_a_wrong_rule_tells_the_entries(self):
        found = gradients.check(RULE.format(slope="tg.where(x > 1.5, 3 * x, 2 * x)"))
        assert not found["passed"]
        assert found["tables"][0]["wrong"] == [2, 3]
        assert "Reproduce" not in found["text"]

    def test_what_ones_do_not_show_is_shown_with_other_numbers(self):
        found = gradients.check(RULE.replace("g * {slope}", "2 * x"))
        assert (found["passed"], found["incoming"]) == (False, "counted")
        assert found["tables"][0]["wrong"] == [1, 2, 3]
        assert found["tables"][0]["differences"] == pytest.approx(np.array([[1, 4], [12, 24]]), abs=1e-6)
        assert (
            gradients.check("gradcheck(lambda x: tg.softmax(x, axis=0), np.array([0.5, 1.0]))")["incoming"] == "counted"
        )

    def test_a_kink_is_not_called_wrong(self):
        found = gradients.check("gradcheck(tg.relu, np.array([-1.0, 0.0, 2.0]), order=1)")
        assert found["passed"]
        assert (found["tables"][0]["wrong"], found["tables"][0]["kinks"]) == ([], [1])

    def test_a_text_without_a_check_is_refused(self):
        assert "did not call gradcheck" in answered(gradients.check, "x = 1")["error"]["text"]


class TestNotebook:
    @pytest.mark.part(2)
    @pytest.mark.parametrize("repairs", [[], ["whole map"], ["whole map", "targets"], ["one division"]])
    def test_mistakes_are_off(self, repairs):
        found = [each for cell in notebook.run(repairs) for each in cell["gradients"]]
        assert len(found) == 11
        assert not all(each["agrees"] for each in found)

    def test_all_repairs_make_every_gradient_right(self):
        cells = notebook.run(list(notebook.REPAIRS))
        assert all(each["agrees"] for cell in cells for each in cell["gradients"])
        assert {cell["number"]: cell["changed"] for cell in cells if cell["changed"]}.keys() == {3, 9, 10, 11}

    def test_numpys_own_generator_is_left_alone(self):
        states = []
        for _ in range(2):
            states.append(np.random.get_state()[1].tolist())  # noqa: NPY002
            notebook.run([])
        assert states[0] == states[1]


class TestPlane:
    @pytest.mark.slow
    @pytest.mark.parametrize("data", plane.DATA)
    def test_a_network_learns_it_and_a_linear_one_does_not(self, data):
        started = plane.start(data, 0.05, 16, "tanh")
        assert len(started["points"]) == plane.POINTS
        assert started["parameters"] == 3 * 16 + 17 * 16 + 17 * 2
        for _ in range(300):
            seen = plane.advance(0, 0.02)
        assert seen["steps"] == 300
        assert seen["accuracy"] > 0.95
        plane.start(data, 0.05, 16, "none")
        for _ in range(300):
            seen = plane.advance(0, 0.02)
        assert seen["accuracy"] < 0.95

    def test_a_cell_is_the_answer_at_its_middle(self):
        plane.start("spiral", 0, 8, "gelu")
        cells = np.array(plane.advance(0.1, 0.02)["cells"]).reshape(plane.CELLS, plane.CELLS)
        row, column = 3, 40  # near the top on the right
        x = (2 * np.array([column + 0.5, plane.CELLS - row - 0.5]) / plane.CELLS - 1) * plane.SIDE
        with tg.no_grad():
            right = tg.softmax(plane.plane.model(tg.Tensor(x[None].astype(np.float32))), axis=1).numpy()[0, 1]
        assert cells[row, column] == pytest.approx(255 * right, abs=0.6)

    @pytest.mark.parametrize("lr", [0, -1, float("nan"), 10])
    def test_another_rate_is_refused(self, lr):
        plane.start("moons", 0, 2, "relu")
        assert "it must be above 0" in answered(plane.advance, 0, lr)["error"]["text"]


class TestCourse:
    def test_an_answer_is_graded(self):
        exercise = EXERCISES[0]
        assert answered(course.check, 1, exercise.solution)["result"]["solved"]
        found = answered(course.check, 1, exercise.code)["result"]
        assert found == {"solved": False, "text": "line 3 still has ...; replace it with your code"}

    def test_an_error_is_in_the_line_of_the_answer(self):
        error = answered(course.check, 1, "def derivative(f, x):\n    return y\n")["error"]
        assert (error["file"], error["line"]) == ("your answer", 2)
        assert "return y" in error["text"]
        assert (answered(course.check, 1, "def (")["error"]["line"]) == 1

    @pytest.mark.slow
    def test_the_trained_network_reads_a_digit(self, monkeypatch):
        monkeypatch.setattr(course, "trained", None)
        digit = train.example(3)
        assert course.look(digit["pixels"]) is None
        assert answered(course.check, 12, EXERCISES[11].solution)["result"]["solved"]
        seen = course.look(digit["pixels"])
        assert seen["guess"] == digit["digit"] == np.argmax(seen["probabilities"])
        assert sum(seen["probabilities"]) == pytest.approx(1, abs=1e-5)


def presets(name: str) -> dict[str, str]:
    """The texts of presets.js under a name."""
    found = (
        (HERE / "presets.js")
        .read_text(encoding="utf-8")
        .partition(f"export const {name} = {{\n")[2]
        .partition("\n};\n")[0]
    )
    return dict(re.findall(r'  "([^"]+)": `(.*?)`,', found, re.DOTALL))


class TestPresets:
    @pytest.mark.parametrize("source", presets("PROGRAMS").values(), ids=presets("PROGRAMS"))
    def test_a_program_has_a_graph(self, source):
        shown = gradients.show(source)
        assert shown["leaves"]
        assert shown["graph"]["nodes"]

    def test_rules_are_what_they_say(self):
        right = {name: gradients.check(source)["passed"] for name, source in presets("RULES").items()}
        assert right == {
            "a rule that is wrong": False, "a product": True, "a rule that forgets g": False, "softmax": True, "a kink": True,
        }  # fmt: skip

    @pytest.mark.parametrize("source", presets("NETWORKS").values(), ids=presets("NETWORKS"))
    def test_a_network_can_be_trained(self, source):
        train.start(source, "Adam", 0.01, 500)
        assert train.advance(60, 0.01, 1)["epochs"] == 1


class TestFolder:
    def test_it_is_complete(self, tmp_path):
        build(tmp_path)
        assert set(PAGE) == {path.name for path in HERE.iterdir() if path.suffix in (".js", ".html", ".css")}
        assert {path.name for path in tmp_path.iterdir()} == {
            *PAGE,
            "view",
            "library.zip",
            "config.json",
            "course.json",
        }
        config = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
        assert config["url"].startswith("https://")
        assert config["library"]["bytes"] == (tmp_path / "library.zip").stat().st_size
        files = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
        assert {*config["page"], "index.html"} == files  # what is kept for use without a network
        with zipfile.ZipFile(tmp_path / "library.zip") as archive:
            names = archive.namelist()
        assert {
            "tinygrad_cnn/__init__.py",
            "playground/train.py",
            "playground/notebook.txt",
            "course/graders.py",
        } <= set(names)
        assert not any("__pycache__" in name for name in names)

    def test_it_is_the_same_each_time(self, tmp_path):
        for name in ("a", "b"):
            build(tmp_path / name)
        assert (tmp_path / "a" / "library.zip").read_bytes() == (tmp_path / "b" / "library.zip").read_bytes()

    def test_another_pyodide_is_refused_before_anything_is_written(self, tmp_path):
        names = json.loads((HERE / "pyodide.json").read_text(encoding="utf-8"))["files"]
        given = tmp_path / "pyodide"
        given.mkdir()
        with pytest.raises(FileNotFoundError, match=r"pyodide\.mjs does not exist; give a folder with the files"):
            build(tmp_path / "out", given)
        for name in names:
            (given / name).write_text("another", encoding="utf-8")
        with pytest.raises(
            ValueError, match=r"has the hash sha384-.*but pyodide\.json has .*; take the pinned version"
        ):
            build(tmp_path / "out", given)
        assert not (tmp_path / "out").exists()

    @pytest.mark.parametrize("main", ["pyodide.asm.js", "pyodide.asm.mjs"])
    def test_another_version_is_pinned_from_its_lock_file(self, tmp_path, main):
        wheel = "numpy-9-wasm32.whl"
        for name in ("pyodide.mjs", main, "pyodide.asm.wasm", "python_stdlib.zip", wheel):
            (tmp_path / name).write_text(name, encoding="utf-8")
        (tmp_path / "package.json").write_text('{"version": "1.2"}', encoding="utf-8")
        numpy = {"version": "9", "file_name": wheel, "sha256": hashlib.sha256(wheel.encode()).hexdigest()}
        lock = {"info": {"python": "3.99"}, "packages": {"numpy": numpy}}
        (tmp_path / "pyodide-lock.json").write_text(json.dumps(lock), encoding="utf-8")
        found = pin(tmp_path)
        assert set(found) == set(json.loads((HERE / "pyodide.json").read_text(encoding="utf-8")))
        assert (found["version"], found["python"], found["numpy"]) == ("1.2", "3.99", "9")
        assert list(found["files"]) == ["pyodide.mjs", main, "pyodide.asm.wasm", "python_stdlib.zip", wheel]
        (tmp_path / wheel).write_text("another", encoding="utf-8")
        with pytest.raises(ValueError, match=f"{wheel} is not the file whose hash"):
            pin(tmp_path)

    def test_the_command_tells_errors(self, tmp_path, monkeypatch, capsys):
        monkeypatch.setattr("sys.argv", ["build", str(tmp_path / "out"), "--pyodide", str(tmp_path)])
        assert main() == 1
        assert "does not exist" in capsys.readouterr().err
