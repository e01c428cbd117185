"""What the comparisons share: the simulator as a process, what a child process costs, medians, a table.

It imports nothing heavy, since a child's peak memory begins with what its parent had.
"""

import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BINARY = os.environ.get("CONVERSE_EXPORT_BINARY", str(ROOT / "target/release/converse-export"))
BOT, KEY = "r3-218210", "demo-key"
START = date(2023, 10, 1)


@dataclass
class Cost:
    """What a child process took: seconds by the clock, CPU seconds of all its threads, MiB at its peak."""

    wall: float
    cpu: float
    memory: float


def run(command, quiet=True, env=None):
    """Runs a command to its end; it has to succeed."""
    with tempfile.TemporaryFile() as said:
        begin = time.perf_counter()
        child = subprocess.Popen(
            [str(part) for part in command],
            stdout=said if quiet else None,
            stderr=said if quiet else None,
            env={**os.environ, "CONVERSE_EXPORT_API_KEY": KEY, **(env or {})},
        )
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.perf_counter() - begin
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode != 0:
            said.seek(0)
            sys.exit(f"{' '.join(map(str, command))} failed:\n{said.read().decode()}")
    return Cost(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


@contextmanager
def simulator(conversations, days, start=START):
    """The simulated Export API without a limit, in a process of its own; its address."""
    command = [BINARY, "simulate", "--port", "0", "--requests-per-second", "0", "--start", start.isoformat()]
    command += ["--conversations", str(conversations), "--days", str(days)]
    child = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        yield re.search(r"http://[0-9.]+:[0-9]+", child.stderr.readline()).group()
    finally:
        child.terminate()
        child.wait()


def export(url, days, out, *more, start=START, datasets=("conversations",)):
    """The command that exports everything that a simulator has, without a limit."""
    command = [BINARY, "export", "--base-url", url, "--bot", BOT, "--out", out, "--quiet"]
    command += ["--start", start.isoformat(), "--end", (start + timedelta(days=days)).isoformat()]
    command += [part for dataset in datasets for part in ("--dataset", dataset)]
    return [*command, "--requests-per-second", "0", *more]


def emptied(path):
    shutil.rmtree(path, ignore_errors=True)
    return path


@contextmanager
def folder():
    """A folder for everything that is written; TMPDIR says where."""
    path = Path(tempfile.mkdtemp(prefix="converse-export-bench-"))
    try:
        yield path
    finally:
        shutil.rmtree(path)


def median(costs):
    parts = ("wall", "cpu", "memory")
    return Cost(*(statistics.median(getattr(cost, part) for cost in costs) for part in parts))


def table(head, rows):
    """Prints rows in columns, the first on the left, the others on the right."""
    cells = [[str(cell) for cell in row] for row in [head, *rows]]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    for number, row in enumerate(cells):
        print("  ".join(cell.rjust(width) if column else cell.ljust(width) for column, (cell, width) in enumerate(zip(row, widths))))
        if number == 0:
            print("  ".join("-" * width for width in widths))
    sys.stdout.flush()
