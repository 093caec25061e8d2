"""Run a command and say what it and all its descendants cost: ``measure.py OUT -- COMMAND …``.

Forked kernels are children of a fork server that outlives the command, so the times that a
parent gets for its own children leave them out.  This process makes itself the one to which
orphans fall (Linux: PR_SET_CHILD_SUBREAPER) and adds up what the kernel states for every process
that it reaps; memory is the sum of the proportional set sizes of the tree, looked at four times a
second.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

PR_SET_CHILD_SUBREAPER = 36
LOOK_SECONDS = 0.25
LEFT_BEHIND_SECONDS = 15


@dataclass(slots=True)
class Cost:
    """What a command cost.

    Parameters
    ----------
    code
        Its exit code.
    wall
        Seconds until it ended.
    cpu
        User and system seconds of the command and all its descendants.
    peak_tree, peak_process
        Largest memory of the whole tree and of any one process, in bytes.
    processes
        How many processes were seen at most at one time.
    lingered
        Seconds from the end of the command to the end of its last descendant.
    left_behind
        How many descendants had to be killed because they did not end.
    """

    code: int = 0
    wall: float = 0.0
    cpu: float = 0.0
    peak_tree: int = 0
    peak_process: int = 0
    processes: int = 0
    lingered: float = 0.0
    left_behind: int = 0


def measured(command: list[str]) -> Cost:
    """Run a command to the end of its last descendant and return its cost."""
    _adopt_orphans()
    cost, ended = Cost(), threading.Event()
    watcher = threading.Thread(target=_watch_memory, args=(cost, ended), daemon=True)
    started = time.monotonic()
    main = subprocess.Popen(command)
    watcher.start()
    signal.signal(signal.SIGALRM, lambda number, frame: _kill_the_rest(cost))
    while True:
        try:
            pid, status, usage = os.wait4(-1, 0)
        except ChildProcessError:
            break
        cost.cpu += usage.ru_utime + usage.ru_stime
        cost.peak_process = max(cost.peak_process, usage.ru_maxrss * 1024)
        if pid == main.pid:
            cost.wall = time.monotonic() - started
            cost.code = os.waitstatus_to_exitcode(status)
            signal.alarm(LEFT_BEHIND_SECONDS)
    signal.alarm(0)
    ended.set()
    watcher.join()
    cost.lingered = time.monotonic() - started - cost.wall
    return cost


def _adopt_orphans() -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "this process could not adopt orphans")


def _kill_the_rest(cost: Cost) -> None:
    for process in psutil.Process().children(recursive=True):
        cost.left_behind += 1
        process.kill()


def _watch_memory(cost: Cost, ended: threading.Event) -> None:
    me = psutil.Process()
    while not ended.wait(LOOK_SECONDS):
        sizes = [_size(process.pid) for process in me.children(recursive=True)]
        cost.peak_tree = max(cost.peak_tree, sum(sizes))
        cost.processes = max(cost.processes, len(sizes))


def _size(pid: int) -> int:
    """Return the proportional set size of a process: shared pages are counted once in all."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    except OSError:
        return 0
    kilobytes = next((line.split()[1] for line in text.splitlines() if line.startswith("Pss:")), 0)
    return int(kilobytes) * 1024


if __name__ == "__main__":
    out, _, *arguments = sys.argv[1:]
    Path(out).write_text(json.dumps(asdict(measured(arguments))), encoding="utf-8")
