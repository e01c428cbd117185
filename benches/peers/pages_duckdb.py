"""Pages as they came, kept by a pool of threads, and one statement of DuckDB for the rest."""

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import local

import duckdb
import requests

URL, OUT, START, END = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
DAY = 86_400
PAGES = OUT / "pages"
PAGES.mkdir(parents=True)
threads = local()


def day(start):
    if not hasattr(threads, "session"):
        threads.session = requests.Session()
        threads.session.headers["x-api-key"] = os.environ["CONVERSE_EXPORT_API_KEY"]
    asked = {"start_time": start, "end_time": start + DAY, "bot_name": "r3-218210", "per_page": 1000}
    for number in range(10_000_000):
        answer = threads.session.get(f"{URL}/conversations/export/v1/conversations", params=asked, timeout=60)
        answer.raise_for_status()
        (PAGES / f"{start}-{number}.json").write_bytes(answer.content)
        cursor = answer.json()["cursor"]
        if not cursor:
            return
        asked["cursor"] = cursor


with ThreadPoolExecutor(8) as pool:
    list(pool.map(day, range(START, END, DAY)))

database = duckdb.connect()
database.execute(
    f"""
    COPY (
        SELECT r._id AS id,
               make_timestamptz(r.startTime * 1000000) AS start_time,
               make_timestamptz(r.lastActionAt * 1000000) AS last_action_at,
               r.locale, r.tags,
               map_from_entries([{{k: entry.key, v: entry.value ->> '$'}} FOR entry IN map_entries(r.metadata)]) AS metadata,
               'r3-218210' AS bot,
               strftime(make_timestamp(r.startTime * 1000000), '%Y-%m-%d') AS date
        FROM (
            SELECT unnest(data) AS r
            FROM read_json('{PAGES}/*.json', maximum_object_size = 33554432, columns = {{
                data: 'STRUCT(_id VARCHAR, startTime BIGINT, lastActionAt BIGINT, locale VARCHAR, tags VARCHAR[], metadata MAP(VARCHAR, JSON))[]'
            }})
        )
        ORDER BY start_time, id
    ) TO '{OUT}/lake' (FORMAT parquet, COMPRESSION zstd, PARTITION_BY (bot, date))
    """
)
print(database.execute(f"SELECT count(*) FROM '{OUT}/lake/**/*.parquet'").fetchone()[0])
