"""Whoever looks at a file, at any moment, finds the old state or the new one, whole."""

from __future__ import annotations

import errno
import os
import re
import stat
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import system
from tinygrad_cnn.io import atomic, npz, safetensors

from .states import SUFFIXES

# Twenty times, a child saves arrays that all hold the number of the save, for ever, and is killed at a random moment. On a busy
# machine it may not have come to its second save by then: more children follow, which are given ever more time.
KILLS = """
import itertools, os, random, signal, sys, time
import numpy as np
import tinygrad_cnn as tg

path, rng, n, most = sys.argv[1], random.Random(0), 0, 0
for kill in itertools.count(1):
    if kill > 20 and n > 1:
        break
    child = os.fork()
    if not child:
        for n in itertools.count(n + 1):
            tg.save(path, {"n": n, "arrays": [np.full(k, n) for k in (1, 1000, 100_000)]})
    time.sleep(rng.uniform(0.001, 0.05) * max(1, kill / 20))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    state = tg.load(path)
    assert all((array == state["n"]).all() for array in state["arrays"]), state
    n = state["n"]
    most = max(most, len(os.listdir(os.path.dirname(path))) - 1)
print(n, most)
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="children are forked, to be quick")
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_process_that_is_killed_leaves_a_whole_file(suffix, tmp_path):
    path = tmp_path / f"state{suffix}"
    tg.save(path, {"n": 0, "arrays": []})
    root = Path(tg.__file__).parents[1]
    run = subprocess.run(
        [sys.executable, "-c", KILLS, path], capture_output=True, encoding="utf-8", cwd=root, check=False
    )
    assert not run.returncode, run.stderr
    n, most = map(int, run.stdout.split())
    assert n > 1  # it was killed in the midst of saving, not before
    assert most > 0  # and some left their new file behind
    tg.save(path, {})
    assert list(tmp_path.iterdir()) == [path]


def machine(path: Path) -> str:
    """How new files are marked that are made on this machine, by one that is being made."""
    with atomic.replacing(path):
        (new,) = path.parent.glob(f".{path.name}.*.tmp")
    path.unlink()
    return new.name.removeprefix(f".{path.name}.").split("-")[0]


def left_behind(path: Path, name: str, age: float = 0) -> Path:
    """A file like those of killed savers to `path`, last written so many seconds ago."""
    file = path.with_name(name)
    file.write_bytes(b"half of")
    now = time.time() - age
    os.utime(file, (now, now))
    return file


@pytest.mark.skipif(not system.LOCKS, reason="files cannot be locked")
def test_what_killed_savers_left_is_swept_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "a.npz"
    here = machine(path)
    there = "0" * 8 if here != "0" * 8 else "1" * 8
    day = atomic.FOREIGN
    gone = [
        left_behind(path, f".a.npz.{here}-{'0' * 16}.tmp"),
        left_behind(path, f".a.npz.{there}-{'1' * 16}.tmp", day + 60),
        left_behind(path, f".a.npz.{'2' * 16}.tmp", day + 60),
    ]
    stay = [
        left_behind(path, f".a.npz.{there}-{'3' * 16}.tmp", day - 60),  # a saver on another machine, maybe alive
        left_behind(path, f".a.npz.{'4' * 16}.tmp", day - 60),
        left_behind(path, f".b.npz.{here}-{'5' * 16}.tmp"),  # of another path
        left_behind(path, f".a.npz.b.npz.{here}-{'6' * 16}.tmp"),
        left_behind(path, f"a.npz.{here}-{'7' * 16}.tmp"),
        left_behind(path, f".a.npz.{here}-notes.tmp", day + 60),
    ]
    folder = path.with_name(f".a.npz.{here}-{'8' * 16}.tmp")
    folder.mkdir()
    link = path.with_name(f".a.npz.{here}-{'9' * 16}.tmp")
    link.symlink_to(stay[2])
    os.mkfifo(path.with_name(f".a.npz.{here}-{'a' * 16}.tmp"))
    tg.save(path, {"a": 1})
    assert tg.load(path) == {"a": 1}
    assert not any(file.exists() for file in gone)
    assert all(file.exists() for file in (*stay, folder, link))

    def no_list(folder):
        raise PermissionError("not to be listed")

    monkeypatch.setattr(os, "scandir", no_list)
    tg.save(path, {"a": 2})
    assert tg.load(path) == {"a": 2}


@pytest.mark.skipif(not system.LOCKS, reason="files cannot be locked")
def test_a_saver_at_work_is_not_swept_by_another(tmp_path):
    path = tmp_path / "a.npz"
    with atomic.replacing(path) as file:
        tg.save(path, {"a": 1})  # as another process would, meanwhile
        assert tg.load(path) == {"a": 1}
        file.write(b"slow")
    assert path.read_bytes() == b"slow"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(not system.LOCKS, reason="files cannot be locked")
@pytest.mark.parametrize("removed", [False, True])
def test_a_saver_whose_file_is_taken_before_it_is_locked_makes_another(removed, tmp_path, monkeypatch):
    path, fcntl, taken = tmp_path / "a.npz", system.fcntl, []
    flock = fcntl.flock

    def late(descriptor, how):
        if not taken:
            (new,) = tmp_path.glob(".a.npz.*.tmp")
            taken.append(os.open(new, os.O_RDONLY))
            flock(taken[0], fcntl.LOCK_SH)  # the sweeper has it
            if removed:
                os.unlink(new)
                os.close(taken[0])
        flock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", late)
    tg.save(path, {"a": 1})
    assert taken
    assert tg.load(path) == {"a": 1}


@pytest.mark.skipif(not system.LOCKS, reason="files cannot be locked")
def test_where_files_cannot_be_locked_saving_works_and_nothing_is_swept(tmp_path, monkeypatch):
    path = tmp_path / "a.npz"
    old = left_behind(path, f".a.npz.{machine(path)}-{'0' * 16}.tmp")

    def refuse(descriptor, how):
        raise OSError(errno.ENOLCK, "no locks")

    monkeypatch.setattr(system.fcntl, "flock", refuse)
    tg.save(path, {"a": 1})
    assert tg.load(path) == {"a": 1}
    assert old.exists()


def test_savers_at_once_each_replace_the_file_whole(tmp_path):
    path, errors = tmp_path / "a.npz", []

    def saves(n):
        try:
            for _ in range(20):
                tg.save(path, {"n": n, "a": np.full(1000, n)})
                state = tg.load(path)
                assert (state["a"] == state["n"]).all()
        except BaseException as error:
            errors.append(error)

    savers = [threading.Thread(target=saves, args=(n,)) for n in range(4)]
    for saver in savers:
        saver.start()
    for saver in savers:
        saver.join()
    assert not errors
    assert list(tmp_path.iterdir()) == [path]


UNREADABLE = """
import os, sys
import tinygrad_cnn as tg
tg.save("a.npz", {"a": 0})
tg.save("a.npz", {"a": 0})
tg.load("a.npz")  # all that is needed is imported now, since the package may be where the user below may not look
os.chmod(".", 0o300)
if not os.geteuid():
    os.chown(".", 65534, 65534)
    os.chown("a.npz", 65534, 65534)
    os.setgid(65534)
    os.setuid(65534)
try:
    os.listdir(".")
except PermissionError:
    tg.save("a.npz", {"a": 1})
    assert tg.load("a.npz") == {"a": 1}
    print("saved")
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
def test_a_folder_that_can_be_written_but_not_read():
    with tempfile.TemporaryDirectory() as folder:  # pytest's lies below one that others may not enter
        environment = {**os.environ, "PYTHONPATH": str(Path(tg.__file__).parents[1])}
        run = subprocess.run(
            [sys.executable, "-c", UNREADABLE],
            capture_output=True,
            encoding="utf-8",
            cwd=folder,
            env=environment,
            check=False,
        )
        os.chmod(folder, 0o700)
        assert (run.returncode, run.stdout) == (0, "saved\n"), run.stderr
        assert os.listdir(folder) == ["a.npz"]


@pytest.mark.parametrize("fails", ["open", "fsync"])
def test_a_folder_that_cannot_be_synced_does_not_make_a_saving_fail_that_is_done(fails, tmp_path, monkeypatch):
    path, call = tmp_path / "a.npz", getattr(os, fails)
    tg.save(path, {"a": 1})

    def refuse(what, *more):
        if os.path.isdir(what) if fails == "open" else stat.S_ISDIR(os.fstat(what).st_mode):
            raise OSError(errno.EACCES if fails == "open" else errno.EINVAL, "not here")
        return call(what, *more)

    monkeypatch.setattr(os, fails, refuse)
    tg.save(path, {"a": 2})
    assert tg.load(path) == {"a": 2}
    assert list(tmp_path.iterdir()) == [path]


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


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("when", ["writing", "syncing"])
def test_a_full_disk_is_an_error_with_the_file_s_name(when, suffix, tmp_path, monkeypatch):
    path = tmp_path / f"state{suffix}"
    tg.save(path, {"a": 1})

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if when == "writing":
        monkeypatch.setattr(npz if suffix == ".npz" else safetensors, "write", full)
    else:
        monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=re.escape(str(path))) as caught:
        tg.save(path, {"a": 2})
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(path))
    monkeypatch.undo()
    assert tg.load(path) == {"a": 1}
    assert list(tmp_path.iterdir()) == [path]
