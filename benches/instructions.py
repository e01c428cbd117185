"""Instructions a record of each hot path, counted by valgrind: figures that do not depend on the machine's mood.

    make instructions                   (or python3 benches/instructions.py decode peek …)

Each part is run once and three times; half of the difference is what one time takes, without all that surrounds it.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

from side_by_side import ROOT, table

PARTS = ["decode", "peek", "skip", "write", "encode", "build"]


def binary():
    command = ["cargo", "bench", "--locked", "--bench", "speed", "--no-run", "--message-format", "json"]
    built = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    told = [json.loads(line) for line in built.splitlines()]
    return [each["executable"] for each in told if each.get("executable")][-1]


def count(program, part, times):
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", program, "--count", part, str(times)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(done.stderr)
    return int(re.search(r"Collected : (\d+)", done.stderr).group(1)), int(done.stdout)


program = str(Path(binary()))
rows = []
for part in sys.argv[1:] or PARTS:
    (once, records), (thrice, _) = count(program, part, 1), count(program, part, 3)
    rows.append([part, f"{(thrice - once) / 2 / records:,.0f}"])
table(["conversations", "instructions a record"], rows)
