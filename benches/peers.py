"""The whole export beside what people write today, each against the same simulator without a limit.

    make peers                                     (or python benches/peers.py --conversations N --runs N)

Every round runs everybody once, in another order; the figures are medians over the rounds. A peer is a file in
`benches/peers/`, written as its users would write it: none of them keeps pages durably, goes on where it was killed,
or drops what came twice across runs.
"""

import argparse
import os
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

from side_by_side import START, emptied, export, folder, median, run, simulator, table

PEERS = {"pool": "threads, pyarrow", "loop": "plain loop", "pages_duckdb": "pages, DuckDB", "with_dlt": "dlt"}
HERE = Path(__file__).resolve().parent

parser = argparse.ArgumentParser()
parser.add_argument("--conversations", type=int, default=50_000)
parser.add_argument("--days", type=int, default=30)
parser.add_argument("--runs", type=int, default=5)
parser.add_argument("--peers", nargs="*", default=list(PEERS), choices=list(PEERS))
options = parser.parse_args()

begin = int(datetime(START.year, START.month, START.day, tzinfo=timezone.utc).timestamp())
end = begin + int(timedelta(days=options.days).total_seconds())
costs = {name: [] for name in ["ours", *options.peers]}
sizes = {}
with folder() as place, simulator(options.conversations, options.days) as url:
    for number in range(options.runs + 1):
        names = list(costs)
        for name in names[number % len(names) :] + names[: number % len(names)]:
            out = emptied(place / name)
            if name == "ours":
                cost = run(export(url, options.days, out))
            else:
                cost = run([sys.executable, HERE / "peers" / f"{name}.py", url, out, begin, end])
            if number > 0:  # the first round warms the machine
                costs[name].append(cost)
            files = [path for path in out.rglob("*.parquet") if path.is_file()]
            sizes[name] = sum(os.path.getsize(path) for path in files) / 1e6
            emptied(out)

ours = median(costs["ours"])
rows = []
for name, each in costs.items():
    cost = median(each)
    rows.append(
        [
            PEERS.get(name, "converse-export"),
            f"{cost.wall:.2f} s",
            f"{cost.wall / ours.wall:.1f} x",
            f"{cost.cpu:.2f} s",
            f"{cost.cpu / ours.cpu:.1f} x",
            f"{cost.memory:.0f} MiB",
            f"{cost.memory / ours.memory:.1f} x",
            f"{sizes[name]:.1f} MB",
        ]
    )
print(f"{options.conversations:,} conversations of {options.days} days, medians of {options.runs} rounds")
table(["", "wall", "", "CPU", "", "peak", "", "Parquet"], rows)
