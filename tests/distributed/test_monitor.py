"""The monitor names the rank that ended first without an error, even if the monitor runs late."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tinygrad_cnn.extra.distributed import monitor

from .common import ROOT

pytestmark = [
    pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="looks for processes in /proc"),
    pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="there is no monitor without sockets of Unix"),
]

RANK = """
import os, sys, time
from tinygrad_cnn.extra.distributed.monitor import Connection
connection = Connection(sys.argv[1], int(sys.argv[2]))
for step in range(50):
    connection.set_status(f"rank {sys.argv[2]} on node, at step {step}")
if sys.argv[3:] == ["fork"] and os.fork() == 0:
    time.sleep(600)
print("ready", flush=True)
sys.stdin.read()
connection.close()
print("closed", flush=True)
time.sleep(600)
"""


class Host:
    """Ranks of a host, each a process, and their monitor."""

    def __init__(self, folder, count, *arguments):
        self.report = folder / "run.failures.txt"
        self.where, self.process = monitor.start_monitor(str(self.report), count)
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        programs = [[sys.executable, "-c", RANK, self.where, str(place), *arguments] for place in range(count)]
        self.ranks = [subprocess.Popen(p, env=environment, process_group=0, **pipes) for p in programs]
        for rank in self.ranks:
            assert rank.stdout.readline() == b"ready\n"
        monitor.remove_folder(self.where)

    def kill(self, place):
        """Kill a rank, and wait for its end."""
        self.ranks[place].kill()
        self.ranks[place].wait()

    def close(self, place):
        """Let a rank close its connection."""
        self.ranks[place].stdin.close()
        assert self.ranks[place].stdout.readline() == b"closed\n"

    def ended(self):
        """The report after the monitor has exited; None if there is none."""
        self.process.wait(120)
        return self.report.read_text(encoding="utf-8") if self.report.exists() else None


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


@pytest.mark.slow
@pytest.mark.parametrize("order", [(2, 0, 1), (0, 1, 2), (1, 2, 0)])
def test_a_late_monitor_names_the_first_rank(host, order):
    ranks = host(3)
    process = ranks.process.pid
    os.kill(process, signal.SIGSTOP)
    while ") T " not in Path(f"/proc/{process}/stat").read_text(encoding="utf-8"):
        time.sleep(0.01)
    for place in order:
        ranks.kill(place)
    os.kill(process, signal.SIGCONT)
    report = ranks.ended()
    assert report.endswith(
        f" rank {order[0]} on node, at step 49, was the first rank of its host to end, and reported no error: it was killed, "
        "or crashed\n"
    )
    assert report.count("\n") == 1


@pytest.mark.slow
def test_a_child_process_does_not_hide_the_end_of_a_rank(host):
    ranks = host(2, "fork")
    ranks.kill(1)
    assert "rank 1 on node" in ranks.ended()


@pytest.mark.slow
def test_a_rank_that_closes_its_connection_is_not_reported_nor_are_those_that_end_after_it(host):
    ranks = host(2)
    ranks.close(0)
    assert ranks.ended() is None
    ranks.kill(1)
    assert not ranks.report.exists()


@pytest.mark.slow
def test_the_monitor_adds_nothing_if_a_rank_has_reported_an_error(host):
    ranks = host(2)
    ranks.report.write_text("rank 5 on another host raised ValueError: no good\n", encoding="utf-8")
    ranks.kill(1)
    assert ranks.ended() == "rank 5 on another host raised ValueError: no good\n"


def test_a_monitor_that_cannot_be_started(tmp_path, monkeypatch):
    """The path of the folder for temporary files is too long for a socket, or Python cannot be started."""
    long = tmp_path / ("x" * 120)
    long.mkdir()
    with monkeypatch.context() as patch:
        patch.setattr("tempfile.tempdir", str(long))
        assert monitor.start_monitor(str(tmp_path / "run.failures.txt"), 2) == ("", None)
    assert not [*long.iterdir()]
    monkeypatch.setattr(sys, "executable", "/nonexistent")
    assert monitor.start_monitor(str(tmp_path / "run.failures.txt"), 2) == ("", None)


def test_connecting_to_a_monitor_that_has_exited_raises(tmp_path):
    where, process = monitor.start_monitor(str(tmp_path / "run.failures.txt"), 1)
    process.kill()
    process.wait()
    with pytest.raises(OSError):
        monitor.Connection(where, 0, process)
    monitor.remove_folder(where)


def test_a_rank_waits_until_the_monitor_has_accepted(tmp_path):
    where, process = monitor.start_monitor(str(tmp_path / "run.failures.txt"), 1)
    os.kill(process.pid, signal.SIGSTOP)
    connections = []
    thread = threading.Thread(target=lambda: connections.append(monitor.Connection(where, 0, process)))
    thread.start()
    thread.join(0.3)
    early = bool(connections)
    os.kill(process.pid, signal.SIGCONT)
    thread.join(20)
    connections[0].close()
    monitor.remove_folder(where)
    assert not early
