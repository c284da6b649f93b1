"""Does the suite notice a wrong line outside of the ops? ``python -m tests.mutants.engine --profile quick``

Each edit of `edits.txt` is made in a copy of the repository, and the tests run on it: those of the folder of the edited file
first, and then the others, up to the first failure. The table at the end has the test that noticed each edit. With ``--profile
thorough`` an edit that the quick profile does not notice has the thorough one to pass as well.
"""

from __future__ import annotations

import argparse
import ast
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = "tinygrad_cnn"
LEFT_OUT = shutil.ignore_patterns(
    ".*cache*", ".git", ".venv*", ".pyodide", ".hypothesis", "__pycache__", "_build", "browser"
)
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
LONGEST = 3600
"""Seconds after which a run counts as hanging, and the edit as noticed."""


@dataclass(frozen=True)
class Edit:
    """A wrong line.

    Args:
        file: the file, in the package's folder.
        function: the function with the line, or "Class.method", or "" for the whole file.
        old: a text that occurs once there.
        new: what replaces it.
    """

    file: str
    function: str
    old: str
    new: str

    def __str__(self) -> str:
        return f"{self.file}, {self.function or 'the file'}: `{_line(self.old)}` is `{_line(self.new)}`"

    def applied(self, source: str) -> str:
        """The text of the file with the edit; LookupError if the function or the text is not there exactly once."""
        start, end = _span(source, self.function)
        if (count := source.count(self.old, start, end)) != 1:
            raise LookupError(
                f"{self.file}, {self.function}: {self.old!r} occurs {count} times; mend tests/mutants/edits.txt"
            )
        at = source.index(self.old, start, end)
        return source[:at] + self.new + source[at + len(self.old) :]


def edits() -> list[Edit]:
    """The edits of `edits.txt`."""
    _, *entries = (Path(__file__).parent / "edits.txt").read_text(encoding="utf-8").strip().split("\n\n")
    found = []
    for entry in entries:
        head, *lines = entry.split("\n")
        file, _, function = head.partition(" ")
        old, new = ("\n".join(line[2:] for line in lines if line.startswith(sign)) for sign in "-+")
        found.append(Edit(file, function, old, new))
    return found


def _line(text: str) -> str:
    return " ".join(text.split()) or " "


def _span(source: str, function: str) -> tuple[int, int]:
    """Where a function begins and ends in the text of a file."""
    if not function:
        return 0, len(source)
    body, node = ast.parse(source).body, None
    for name in function.split("."):
        named = [each for each in _definitions(body) if each.name == name]
        if not named:
            raise LookupError(f"there is no {function}; mend tests/mutants/edits.txt")
        node = named[-1]  # after those that only declare types
        body = node.body
    assert node is not None
    lines = source.splitlines(keepends=True)
    return sum(map(len, lines[: node.lineno - 1])), sum(map(len, lines[: node.end_lineno]))


def _definitions(body: Sequence[ast.stmt]) -> Iterator[Definition]:
    """The functions and classes of a body, also those under a condition, but not those within them."""
    for statement in body:
        if isinstance(statement, Definition):
            yield statement
        else:
            for name in ("body", "orelse", "handlers"):
                yield from _definitions(getattr(statement, name, ()))


NEAR = {
    "core": ["core", "tensor", "test_lost.py", "test_memory.py", "transforms"],
    "tensor": ["tensor", "core", "test_lost.py"],
    "nn": ["nn", "functional"],
    "optim": ["optim", "training", "compile/test_training.py"],
    "io": ["io", "training"],
    "training": ["training", "io"],
    "compile": ["compile", "nn/test_compiled.py"],
    "transforms": ["transforms", "core"],
    "ops": ["core", "tensor", "test_lost.py", "ops"],
}
"""The tests that are likely to notice an edit of a folder; those of the same name, if it is not here."""


FIRST = {
    "core": ["core/test_backward.py", "core/test_rules.py"],
    "tensor": ["tensor/test_tensor.py"],
    "nn": ["nn/test_module.py", "nn/test_layers.py"],
    "optim": ["optim/test_optimizer.py", "optim/test_state.py", "optim/test_trajectories.py"],
    "optim/lr_scheduler": ["optim/test_schedules.py", "optim/test_schedule_state.py"],
    "training": ["training/test_fit.py"],
    "compile": ["compile/test_compile.py", "compile/test_steps.py"],
    "kernels": ["optim/test_repeats.py", "compile/test_pool.py"],
    "ops": ["tensor/test_tensor.py", "tensor/test_assignment.py"],
}
"""Those of them that notice most, and are run first, as is a file of tests that is named like the edited one."""


def stages(edit: Edit, profile: str) -> Iterator[list[str]]:
    """The arguments of pytest, one run after the other."""
    *folders, file = edit.file.removesuffix(".py").split("/")
    folder = folders[0] if folders else file
    near = [f"tests/{name}" for name in NEAR.get(folder, [folder]) if (ROOT / "tests" / name).exists()]
    named = [str(path.relative_to(ROOT)) for name in near for path in (ROOT / name).rglob(f"test_{file}.py")]
    first = [f"tests/{name}" for name in FIRST.get("/".join(folders), FIRST.get(folder, []))]
    rest = [f"--ignore={name}" for name in (*near, "tests/mutants/test_engine.py")]  # which looks for the right line
    for options in ([], ["--thorough"])[: 1 + (profile == "thorough")]:
        if likely := list(dict.fromkeys([*named, *first])):
            yield [*options, *likely]
        if near:
            yield [*options, *near]
        yield [*options, *rest]


def noticed(edit: Edit, copy: Path, runs: Iterable[list[str]], workers: str) -> str | None:
    """The test that fails with an edit in one of the runs, or None."""
    path = copy / PACKAGE / edit.file
    source = path.read_text(encoding="utf-8")
    before = path.stat()
    try:
        path.write_text(edit.applied(source), encoding="utf-8")
        newer = int(time.time()) + 10  # than all that Python has compiled
        os.utime(path, (newer, newer))
        for arguments in runs:
            if (found := failure(copy, [*arguments, "-n", workers])) is not None:
                return found
        return None
    finally:
        path.write_text(source, encoding="utf-8")
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def failure(copy: Path, arguments: Sequence[str]) -> str | None:
    """The first test that fails in the copy of the repository, or None."""
    shutil.rmtree(copy / ".hypothesis", ignore_errors=True)  # what failed with another edit is not tried first
    command = [sys.executable, "-m", "pytest", "-q", "-x", "--no-header", "-p", "no:cacheprovider", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": ""}
    try:
        run = subprocess.run(command, cwd=copy, env=environment, capture_output=True, encoding="utf-8", timeout=LONGEST)
    except subprocess.TimeoutExpired:
        return "(it hangs)"
    if run.returncode in (0, 5):  # 5: all tests were left out
        return None
    found = re.search(r"^(?:FAILED|ERROR) (\S+)", run.stdout, re.MULTILINE)
    return found[1] if found else f"(pytest ended with {run.returncode})"


def main() -> None:
    """Run the suite on each edit, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", choices=("quick", "thorough"), default="quick")
    parser.add_argument("--near", action="store_true", help="run the likely tests alone, for a first look")
    parser.add_argument("--only", default="", help="edits whose file or function contains this text")
    parser.add_argument("--workers", default="0", help="the processes of pytest-xdist")
    options = parser.parse_args()
    chosen = [edit for edit in edits() if options.only in f"{edit.file} {edit.function}"]
    missed = []
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy"
        shutil.copytree(ROOT, copy, ignore=LEFT_OUT, symlinks=True)
        print("| edit | noticed by |\n| --- | --- |", flush=True)
        for edit in chosen:
            runs = [run for run in stages(edit, options.profile) if not (options.near and "--ignore" in run[-1])]
            found = noticed(edit, copy, runs, options.workers)
            if found is None:
                missed.append(edit)
            print(
                f"| {edit} | {'NOTHING' if found is None else found.removeprefix('tests/')} |".replace(" || ", " or "),
                flush=True,
            )
    print("\n| folder | edits | noticed |\n| --- | --- | --- |")
    made, lost = ([edit.file.partition("/")[0] for edit in some] for some in (chosen, missed))
    for name in sorted({*made}):
        print(f"| {name} | {made.count(name)} | {made.count(name) - lost.count(name)} |")
    print(f"\n{len(chosen) - len(missed)} of {len(chosen)} edits were noticed")


if __name__ == "__main__":
    main()
