"""Whoever looks at a file, at any moment, finds the old state or the new one, whole."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.io import npz

from .states import SUFFIXES

# Twenty times, a child saves arrays that all hold the number of the save, for ever, and is killed at a random moment.
KILLS = """
import itertools, os, random, signal, sys, time
import numpy as np
import tinygrad_cnn as tg

path, rng, n = sys.argv[1], random.Random(0), 0
for _ in range(20):
    child = os.fork()
    if not child:
        for n in itertools.count(n + 1):
            tg.save(path, {"n": n, "arrays": [np.full(k, n) for k in (1, 1000, 100_000)]})
    time.sleep(rng.uniform(0.001, 0.05))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    state = tg.load(path)
    assert all((array == state["n"]).all() for array in state["arrays"]), state
    n = state["n"]
print(n)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="children are forked, to be quick")
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_process_that_is_killed_leaves_a_whole_file(suffix, tmp_path):
    path = tmp_path / f"state{suffix}"
    tg.save(path, {"n": 0, "arrays": []})
    root = Path(tg.__file__).parents[1]
    run = subprocess.run([sys.executable, "-c", KILLS, path], capture_output=True, text=True, cwd=root, check=False)
    assert not run.returncode, run.stderr
    assert int(run.stdout) > 1  # it was killed in the midst of saving, not before
    assert len(list(tmp_path.iterdir())) > 1  # and some left their new file behind


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_a_save_that_fails_halfway_leaves_the_old_file_and_nothing_else(error, tmp_path, monkeypatch):
    path = tmp_path / "state.npz"
    tg.save(path, {"a": 1})

    def fails(file, arrays, text):
        file.write(b"half of")
        raise error("no space left")

    monkeypatch.setattr(npz, "write", fails)
    with pytest.raises(error, match="no space left"):
        tg.save(path, {"a": 2})
    with pytest.raises(error, match="no space left"):
        tg.save(tmp_path / "new.npz", {"a": 2})
    assert list(tmp_path.iterdir()) == [path]
    assert tg.load(path) == {"a": 1}


def test_the_new_file_is_on_the_disk_before_it_gets_its_name(tmp_path, monkeypatch):
    events = []
    fsync, replace = os.fsync, os.replace

    def synced(descriptor):
        events.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else os.fstat(descriptor).st_size)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", lambda old, new: (events.append("replace"), replace(old, new)))
    path = tmp_path / "state.npz"
    tg.save(path, {"a": np.ones(1000)})
    assert events == [path.stat().st_size, "replace", "folder"]


@pytest.mark.skipif(os.name != "posix", reason="modes and links are POSIX's")
def test_modes_and_links_are_kept(tmp_path):
    new = tmp_path / "new.npz"
    before = os.umask(0o027)
    try:
        tg.save(new, {})
    finally:
        os.umask(before)
    assert stat.S_IMODE(new.stat().st_mode) == 0o640
    new.chmod(0o604)
    link = tmp_path / "latest.npz"
    link.symlink_to("new.npz")
    tg.save(link, {"a": 1})
    assert link.is_symlink()
    assert tg.load(new) == {"a": 1}
    assert stat.S_IMODE(new.stat().st_mode) == 0o604


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no such folder to save into; make it first.*nowhere"):
        tg.save(tmp_path / "nowhere" / "a.npz", {})
    (tmp_path / "folder.npz").mkdir()
    with pytest.raises(OSError, match="folder.npz"):
        tg.save(tmp_path / "folder.npz", {})
    assert [path.name for path in tmp_path.iterdir()] == ["folder.npz"]


def test_a_relative_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tg.save("a.npz", {"a": 1})
    assert tg.load("a.npz") == {"a": 1}
