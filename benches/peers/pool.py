"""What a good engineer writes in an afternoon: a pool of threads, a day each, pyarrow, a file a day."""

import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from pathlib import Path
from threading import local

import pyarrow as pa
import pyarrow.parquet as pq
import requests

URL, OUT, START, END = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
DAY = 86_400
SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("start_time", pa.timestamp("us", "UTC")),
        ("last_action_at", pa.timestamp("us", "UTC")),
        ("locale", pa.string()),
        ("tags", pa.list_(pa.string())),
        ("metadata", pa.map_(pa.string(), pa.string())),
    ]
)
threads = local()


def pages(start, end):
    if not hasattr(threads, "session"):
        threads.session = requests.Session()
        threads.session.headers["x-api-key"] = os.environ["CONVERSE_EXPORT_API_KEY"]
    asked = {"start_time": start, "end_time": end, "bot_name": "r3-218210", "per_page": 1000}
    while True:
        answer = threads.session.get(f"{URL}/conversations/export/v1/conversations", params=asked, timeout=60)
        answer.raise_for_status()
        page = answer.json()
        yield page["data"]
        if not page["cursor"]:
            return
        asked["cursor"] = page["cursor"]


def text(value):
    return value if value is None or isinstance(value, str) else json.dumps(value)


def row(record):
    return {
        "id": record["_id"],
        "start_time": record["startTime"] * 1_000_000,
        "last_action_at": record["lastActionAt"] * 1_000_000,
        "locale": record.get("locale"),
        "tags": record.get("tags"),
        "metadata": [(key, text(value)) for key, value in (record.get("metadata") or {}).items()],
    }


def day(start):
    rows = {}
    for page in pages(start, start + DAY):
        for record in page:
            rows[record["_id"]] = row(record)
    if not rows:
        return 0
    rows = sorted(rows.values(), key=lambda row: (row["start_time"], row["id"]))
    date = datetime.fromtimestamp(start, timezone.utc).date()
    folder = OUT / "bot=r3-218210" / f"date={date}"
    folder.mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_pylist(rows, schema=SCHEMA)
    pq.write_table(table, folder / "part.parquet", compression="zstd")
    return len(rows)


with ThreadPoolExecutor(8) as pool:
    print(sum(pool.map(day, range(START, END, DAY))))
