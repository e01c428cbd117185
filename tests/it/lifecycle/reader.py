"""Reads a table with DuckDB for each line of standard input (a JSON text: the table's folder); answers a line of JSON."""

import glob
import json
import sys

import duckdb

COLUMNS = {
    "conversations": "id, epoch_us(start_time), epoch_us(last_action_at), null",
    "messages": "id, epoch_us(time), null, conversation_id",
}

for line in sys.stdin:
    lake, answer = json.loads(line), {}
    try:
        connection = duckdb.connect()
        for dataset, columns in COLUMNS.items():
            pattern = f"{glob.escape(lake)}/{dataset}/**/*.parquet"
            found = [path for path in glob.glob(pattern, recursive=True)]
            sql = f"select {columns}, filename from read_parquet($1, hive_partitioning = false, filename = true)"
            answer[dataset] = connection.execute(sql, [found]).fetchall() if found else []
    except (duckdb.Error, OSError) as error:
        answer = {"error": str(error)}
    print(json.dumps(answer), flush=True)
