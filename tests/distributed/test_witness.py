"""The process beside the ranks: it names the one that ended first without a word, however late it looks."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tinygrad_cnn.distributed import witness

from .common import ROOT

pytestmark = pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="looks for processes in /proc")

RANK = """
import os, sys, time
from tinygrad_cnn.distributed.witness import Call
call = Call(sys.argv[1], int(sys.argv[2]))
for step in range(50):
    call.note(f"rank {sys.argv[2]} on node, at step {step}")
if sys.argv[3:] == ["fork"] and os.fork() == 0:
    time.sleep(30)
print("ready", flush=True)
sys.stdin.read()
call.end()
print("left", flush=True)
time.sleep(30)
"""


class Host:
    """Ranks of a host, as processes of their own, and their witness."""

    def __init__(self, folder, count, *arguments):
        self.report = folder / "run.failures.txt"
        self.where, self.process = witness.summon(str(self.report), count)
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        programs = [[sys.executable, "-c", RANK, self.where, str(place), *arguments] for place in range(count)]
        self.ranks = [subprocess.Popen(p, env=environment, process_group=0, **pipes) for p in programs]
        for rank in self.ranks:
            assert rank.stdout.readline() == b"ready\n"
        witness.dismiss(self.where)

    def kill(self, place):
        """Kill a rank, and wait for its end."""
        self.ranks[place].kill()
        self.ranks[place].wait()

    def leave(self, place):
        """Let a rank take leave."""
        self.ranks[place].stdin.close()
        assert self.ranks[place].stdout.readline() == b"left\n"

    def ended(self):
        """What was reported when the witness has ended; None if nothing."""
        self.process.wait(20)
        return self.report.read_text() if self.report.exists() else None


@pytest.fixture
def host(tmp_path):
    hosts = []

    def start(count, *arguments):
        hosts.append(Host(tmp_path, count, *arguments))
        return hosts[-1]

    yield start
    for each in hosts:
        each.process.kill()
        each.process.wait()
        for rank in each.ranks:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(rank.pid, signal.SIGKILL)
            rank.wait()
            rank.stdin.close()
            rank.stdout.close()


@pytest.mark.parametrize("order", [(2, 0, 1), (0, 1, 2), (1, 2, 0)])
def test_the_first_is_named_also_by_a_witness_that_looks_late(host, order):
    ranks = host(3)
    witness = ranks.process.pid
    os.kill(witness, signal.SIGSTOP)
    while ") T " not in Path(f"/proc/{witness}/stat").read_text():
        time.sleep(0.01)
    for place in order:
        ranks.kill(place)
    os.kill(witness, signal.SIGCONT)
    report = ranks.ended()
    assert report.endswith(
        f" rank {order[0]} on node, at step 49, ended without a word, as the first on its host: it was killed, or crashed\n"
    )
    assert report.count("\n") == 1


def test_a_child_of_a_rank_does_not_hide_its_end(host):
    ranks = host(2, "fork")
    ranks.kill(1)
    assert "rank 1 on node" in ranks.ended()


def test_whoever_takes_leave_is_not_reported_nor_those_that_end_after_it(host):
    ranks = host(2)
    ranks.leave(0)
    assert ranks.ended() is None
    ranks.kill(1)
    assert not ranks.report.exists()


def test_nothing_is_added_to_what_ranks_have_reported_themselves(host):
    ranks = host(2)
    ranks.report.write_text("rank 5 on another host raised ValueError: no good\n")
    ranks.kill(1)
    assert ranks.ended() == "rank 5 on another host raised ValueError: no good\n"


def test_where_there_can_be_no_witness_there_is_none(tmp_path, monkeypatch):
    """A folder for temporary files whose path is too long for a socket, or a Python that cannot be started."""
    long = tmp_path / ("x" * 120)
    long.mkdir()
    with monkeypatch.context() as patch:
        patch.setattr("tempfile.tempdir", str(long))
        assert witness.summon(str(tmp_path / "run.failures.txt"), 2) == ("", None)
    assert not [*long.iterdir()]
    monkeypatch.setattr(sys, "executable", "/nonexistent")
    assert witness.summon(str(tmp_path / "run.failures.txt"), 2) == ("", None)


def test_a_rank_whose_witness_has_ended_is_told(tmp_path):
    where, process = witness.summon(str(tmp_path / "run.failures.txt"), 1)
    process.kill()
    process.wait()
    with pytest.raises(OSError):
        witness.Call(where, 0, process)
    witness.dismiss(where)


def test_a_rank_waits_until_the_witness_listens_to_it(tmp_path):
    where, process = witness.summon(str(tmp_path / "run.failures.txt"), 1)
    os.kill(process.pid, signal.SIGSTOP)
    calls = []
    thread = threading.Thread(target=lambda: calls.append(witness.Call(where, 0, process)))
    thread.start()
    thread.join(0.3)
    early = bool(calls)
    os.kill(process.pid, signal.SIGCONT)
    thread.join(20)
    calls[0].end()
    witness.dismiss(where)
    assert not early
