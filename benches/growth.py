"""What an export costs as the work grows, how soon it asks, and what it costs where nothing is to be done.

    make growth                         (or python benches/growth.py --only 50000/30 500000/300 start no-op)

CPU seconds a record may differ by 15 % between the smallest and the largest; the peak may reach 400 MiB; the first
request has to leave within 30 ms, and an export of 5,000 days that are complete has to end within 100 ms.
"""

import argparse
import socket
import statistics
import subprocess
import sys
import time
from datetime import date

from side_by_side import KEY, emptied, export, folder, median, run, simulator, table

MOST_GROWTH, MOST_MEMORY, MOST_START, MOST_NOTHING = 0.15, 400, 0.030, 0.100
SIZES = {"50000/30": 9, "500000/300": 3, "5000000/3000": 1}

parser = argparse.ArgumentParser()
parser.add_argument("--only", nargs="*", default=[*SIZES, "start", "no-op"], metavar="PART")
options = parser.parse_args()
missed = []


def judged(what, figure, most, told):
    if figure > most:
        missed.append(what)
    return f"{told}{' MISSED' if figure > most else ''}"


def grows():
    rows, least = [], None
    with folder() as place:
        for size in [size for size in SIZES if size in options.only]:
            conversations, days = map(int, size.split("/"))
            start = date(2015, 1, 1)
            with simulator(conversations, days, start) as url:
                command = export(url, days, place / "table", start=start)
                costs = []
                for number in range(SIZES[size] + (SIZES[size] > 1)):
                    emptied(place / "table")
                    costs.append(run(command))
            cost = median(costs[1:] or costs)
            micros = cost.cpu / conversations * 1e6
            least = least or micros
            rows.append(
                [
                    f"{conversations:,} of {days:,} days",
                    f"{cost.wall:.2f} s",
                    f"{cost.cpu:.2f} s",
                    judged(size, micros / least, 1 + MOST_GROWTH, f"{micros:.1f} ({micros / least - 1:+.0%})"),
                    judged(size, cost.memory, MOST_MEMORY, f"{cost.memory:.0f} MiB"),
                ]
            )
            table(["conversations", "wall", "CPU", "CPU µs a record", "peak"], rows)


def first_request():
    """Seconds from the start of the process until its first request has arrived."""
    took = []
    for _ in range(31):
        with folder() as place, socket.create_server(("127.0.0.1", 0)) as server:
            url = f"http://127.0.0.1:{server.getsockname()[1]}"
            command = [str(part) for part in export(url, 30, place / "table")]
            begin = time.perf_counter()
            child = subprocess.Popen(command, env={"CONVERSE_EXPORT_API_KEY": KEY}, stderr=subprocess.DEVNULL)
            connection, _ = server.accept()
            connection.recv(1)
            took.append(time.perf_counter() - begin)
            child.kill()
            child.wait()
            connection.close()
    seconds = statistics.median(took)
    told = f"{seconds * 1e3:.1f} ms to the first request (at most {MOST_START * 1e3:.0f})"
    print(judged("start", seconds, MOST_START, told))


def nothing_to_do():
    """Seconds of an export of 5,000 complete days."""
    with folder() as place:
        start, days = date(2008, 1, 1), 5_000
        with simulator(days * 10, days, start) as url:
            command = export(url, days, place / "table", start=start)
            run(command)
            cost = median([run(command) for _ in range(11)])
    told = f"{cost.wall * 1e3:.0f} ms, {cost.cpu * 1e3:.0f} ms CPU, {cost.memory:.0f} MiB for nothing to do in 5,000 days"
    print(judged("no-op", cost.wall, MOST_NOTHING, f"{told} (at most {MOST_NOTHING * 1e3:.0f} ms)"))


if "start" in options.only:
    first_request()
if "no-op" in options.only:
    nothing_to_do()
grows()
sys.exit(1 if missed else 0)
