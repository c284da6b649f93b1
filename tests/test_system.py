"""What only some systems have: each thing is asked for in one place, may be absent, and real work goes on without it.

The last test runs other tests in a process that plays another system: see `elsewhere.py`.
"""

from __future__ import annotations

import ast
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import system
from tinygrad_cnn.extra.distributed import monitor
from tinygrad_cnn.io import atomic

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "tinygrad_cnn"

ASKED_FOR_IN = {
    "system.py": {"ctypes", "fcntl", "resource", "register_at_fork", "sched_yield", "setitimer", "SIGALRM"},
    "allocator.py": {"ctypes"},  # as in kernels/blas.py
    "kernels/blas.py": {"ctypes"},  # the types of the functions of a library that system.py has opened
    "extra/distributed/monitor.py": {"AF_UNIX", "mmap", "register_at_fork"},
}
"""The files that name what only some systems have, and what."""

RARE = {
    "ctypes", "fcntl", "grp", "mmap", "msvcrt", "posix", "pwd", "resource", "termios", "winreg",
    "fork", "forkpty", "getuid", "kill", "killpg", "mkfifo", "register_at_fork", "sched_getaffinity", "sched_yield", "sysconf",
    "AF_UNIX", "SIGALRM", "SIGHUP", "SIGKILL", "SIGTERM", "SIGUSR1", "setitimer", "alarm",
}  # fmt: skip
OWNERS = {"os", "signal", "socket", "sys"}


def rare_names(path: Path) -> set[str]:
    """Modules that a file imports, and attributes of `os`, `signal`, `socket` and `sys`, if only some systems have them."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found |= {(node.module or "").split(".")[0]}
            found |= {alias.name for alias in node.names} if node.module in OWNERS else set()
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in OWNERS:
            found.add(node.attr)
    return found & RARE


@pytest.mark.slow
def test_what_only_some_systems_have_is_asked_for_in_one_file():
    found = {path.relative_to(PACKAGE).as_posix(): rare_names(path) for path in PACKAGE.rglob("*.py")}
    elsewhere = {name: names for name, names in found.items() if names - ASKED_FOR_IN.get(name, set())}
    assert not elsewhere, f"move these to tinygrad_cnn/system.py: {elsewhere}"
    for path in PACKAGE.rglob("*.py"):
        if path.name not in ("system.py", "monitor.py"):
            assert '"/proc' not in path.read_text(encoding="utf-8"), path


def test_without_a_c_library_products_are_numpys(monkeypatch):
    monkeypatch.setitem(sys.modules, "ctypes", None)
    assert system.library(None) is None
    monkeypatch.undo()
    assert system.library("/no/such/library") is None


def test_without_locks_files_are_saved_and_loaded(monkeypatch, tmp_path):
    path = tmp_path / "a.npz"
    with path.open("wb") as file:
        assert system.lock(file.fileno(), shared=False) is (True if system.LOCKS else None)
        monkeypatch.setattr(system, "fcntl", None)
        monkeypatch.setattr(atomic, "LOCKS", False)
        assert system.lock(file.fileno(), shared=False) is None
    tg.save(path, {"a": np.arange(3)})
    tg.save(path, {"a": np.arange(4)})
    assert tg.load(path)["a"].tolist() == [0, 1, 2, 3]
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("refusals", [2, 10**9])
def test_a_file_that_is_read_is_replaced_when_it_is_free(refusals, monkeypatch, tmp_path):
    """As on Windows, where another program that reads a file keeps it from being replaced."""
    path, left = tmp_path / "a.npz", [refusals]
    tg.save(path, {"n": 1})
    for module in (system, atomic):
        monkeypatch.setattr(module, "LOCKS", False)
    monkeypatch.setattr(system, "PATIENCE", 30.0 if refusals == 2 else 0.01)
    replace = os.replace

    def busy(new, target):
        left[0] -= 1
        if left[0] >= 0:
            raise PermissionError(13, "another program reads it")
        replace(new, target)

    monkeypatch.setattr(os, "replace", busy)
    if refusals == 2:
        tg.save(path, {"n": 2})
    else:
        with pytest.raises(PermissionError, match="another program reads it"):
            tg.save(path, {"n": 2})
    assert tg.load(path) == {"n": 2 if refusals == 2 else 1}
    assert list(tmp_path.iterdir()) == [path]


def test_with_locks_a_forbidden_replacement_is_not_tried_again(monkeypatch, tmp_path):
    calls = []

    def never(new, target):
        calls.append(new)
        raise PermissionError(13, "the folder is read-only")

    monkeypatch.setattr(system, "LOCKS", True)
    monkeypatch.setattr(os, "replace", never)
    with pytest.raises(PermissionError):
        system.replace(tmp_path / "a", tmp_path / "b")
    assert len(calls) == 1


def test_where_modes_cannot_be_changed_files_are_saved(monkeypatch, tmp_path):
    """All files of such a file system have one mode, which is then right already."""
    path = tmp_path / "a.npz"
    tg.save(path, {"n": 1})

    def refuse(*arguments, **options):
        raise PermissionError(1, "this file system has no modes")

    monkeypatch.setattr(Path, "chmod", refuse)
    monkeypatch.setattr(os, "chmod", refuse)
    tg.save(path, {"n": 2})
    assert tg.load(path) == {"n": 2}


def test_without_proc_the_kernel_has_the_name_of_the_machine(monkeypatch):
    def absent(*arguments, **options):
        raise FileNotFoundError

    monkeypatch.setattr("builtins.open", absent)
    monkeypatch.setattr("platform.node", lambda: "here")
    assert system.kernel() == "here"


def test_without_forks_timers_and_yields_nothing_happens(monkeypatch):
    for module, name in ((os, "register_at_fork"), (os, "sched_yield"), (signal, "setitimer")):
        monkeypatch.delattr(module, name, raising=False)
    called = []
    monkeypatch.setattr(time, "sleep", called.append)
    system.after_fork(lambda: called.append("fork"))
    system.end_after(0.0)
    system.let_others_run()
    assert called == [0]


def test_without_sockets_of_unix_there_is_no_monitor(monkeypatch, tmp_path):
    monkeypatch.delattr(socket, "AF_UNIX", raising=False)
    assert monitor.start_monitor(str(tmp_path / "run.failures.txt"), 2) == ("", None)
    assert not list(tmp_path.iterdir())


def trained(seed: int, model: tg.nn.Module | None = None) -> tuple[tg.nn.Module, dict[str, np.ndarray]]:
    """A model after three steps, and its state."""
    rng = np.random.default_rng(seed)
    x, labels = rng.standard_normal((16, 1, 6, 6), np.float32), rng.integers(0, 3, 16)
    if model is None:
        tg.manual_seed(seed)
        model = tg.nn.Sequential(tg.nn.Conv2d(1, 4, 3), tg.nn.ReLU(), tg.nn.Flatten(), tg.nn.Linear(64, 3))
    optimizer = tg.optim.SGD(model.parameters(), lr=0.1)
    tg.fit(model, (x, labels), tg.cross_entropy, optimizer, epochs=3, batch_size=16, shuffle=False, progress=False)
    return model, {name: value.copy() for name, value in model.state_dict().items()}


def in_a_child(model: tg.nn.Module) -> dict[str, np.ndarray]:
    """What :func:`trained` gives for a model that was sent to another process."""
    return trained(1, model)[1]


def test_a_spawned_process_gets_a_model_and_trains_it_to_the_same_bits():
    """Windows and macOS start children anew, so all that they are given is pickled."""
    model, _ = trained(0)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        there = pool.apply(in_a_child, (model,))
    here = in_a_child(model)
    assert all(np.array_equal(here[name], there[name]) for name in here)
    assert here.keys() == there.keys()


RESERVED = {"con", "prn", "aux", "nul", *(f"{name}{n}" for name in ("com", "lpt") for n in range(1, 10))}


def test_file_names_are_different_in_any_case_and_allowed_on_windows():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode:
        pytest.skip("this is not a checkout")
    names = listed.stdout.decode().split("\0")[:-1]
    assert len({name.casefold() for name in names}) == len(names)
    for part in {part for name in names for part in name.split("/")}:
        assert part.isascii(), part
        assert not set(part) & set('<>:"|?*\\'), part
        assert not part.endswith((".", " ")), part
        assert part.split(".")[0].casefold() not in RESERVED, part
    assert max(map(len, names)) < 120  # a checkout may be 140 characters deep


TRAINS = """
import sys
import tests.elsewhere
import numpy as np, tinygrad_cnn as tg
from tinygrad_cnn.__main__ import main
from tinygrad_cnn.kernels import blas
assert blas.THREADS is None and not blas.GEMM and tg.get_num_threads() == 1
assert main(["--epochs", "2"]) == 0
assert main(["--check"]) == 0
"""

ANOTHER_SYSTEM = {
    "PYTHONWARNDEFAULTENCODING": "1", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C", "PYTHONPATH": str(ROOT),
    "OPENBLAS_NUM_THREADS": "1",  # threads of BLAS wait by spinning, and other tests need the cores
}  # fmt: skip


@pytest.mark.parametrize("encoding", ["ascii", pytest.param("cp1252", marks=pytest.mark.slow)])
def test_another_system_trains_and_checks_its_installation(encoding):
    done = subprocess.run(
        [sys.executable, "-W", "error::EncodingWarning:tinygrad_cnn", "-c", TRAINS], capture_output=True, cwd=ROOT,
        env={**os.environ, **ANOTHER_SYSTEM, "PYTHONIOENCODING": encoding}, check=False,
    )  # fmt: skip
    assert not done.returncode, done.stderr.decode()
    assert b"% of 360 images" in done.stdout
    assert b"21 of 21 functions" in done.stdout


FOLDERS = [f"tests/{name}" for name in ("io", "kernels", "data", "training")]


@pytest.mark.slow
def test_another_system_passes_the_quick_tests_of_folders_that_use_the_system():
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "tests.elsewhere", "-p", "no:cacheprovider", *FOLDERS],
        capture_output=True, cwd=ROOT, env={**os.environ, **ANOTHER_SYSTEM}, check=False,
    )  # fmt: skip
    assert not done.returncode, done.stdout.decode()
