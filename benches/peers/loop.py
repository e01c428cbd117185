"""What everybody writes first: one loop along the cursor, everything in a list, pyarrow at the end."""

import json
import os
import sys
from datetime import datetime, timezone

import pyarrow as pa
import pyarrow.parquet as pq
import requests

URL, OUT, START, END = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("start_time", pa.timestamp("us", "UTC")),
        ("last_action_at", pa.timestamp("us", "UTC")),
        ("locale", pa.string()),
        ("tags", pa.list_(pa.string())),
        ("metadata", pa.map_(pa.string(), pa.string())),
        ("bot", pa.string()),
        ("date", pa.string()),
    ]
)

session = requests.Session()
session.headers["x-api-key"] = os.environ["CONVERSE_EXPORT_API_KEY"]
asked = {"start_time": START, "end_time": END, "bot_name": "r3-218210", "per_page": 1000}
rows = []
while True:
    answer = session.get(f"{URL}/conversations/export/v1/conversations", params=asked, timeout=60)
    answer.raise_for_status()
    page = answer.json()
    for record in page["data"]:
        metadata = record.get("metadata") or {}
        rows.append(
            {
                "id": record["_id"],
                "start_time": record["startTime"] * 1_000_000,
                "last_action_at": record["lastActionAt"] * 1_000_000,
                "locale": record.get("locale"),
                "tags": record.get("tags"),
                "metadata": [
                    (key, value if value is None or isinstance(value, str) else json.dumps(value))
                    for key, value in metadata.items()
                ],
                "bot": "r3-218210",
                "date": datetime.fromtimestamp(record["startTime"], timezone.utc).date().isoformat(),
            }
        )
    if not page["cursor"]:
        break
    asked["cursor"] = page["cursor"]

table = pa.Table.from_pylist(rows, schema=SCHEMA)
pq.write_to_dataset(table, OUT, partition_cols=["bot", "date"], compression="zstd")
print(len(rows))
