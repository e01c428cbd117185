"""Reads a table with DuckDB for each line of standard input, and answers a line of JSON.

A line is a JSON text, the table's folder, or an array of the folder and a dataset: the answer is then its ids.
"""

import glob
import json
import sys

import duckdb

COLUMNS = {
    "conversations": "id, epoch_us(start_time), epoch_us(last_action_at), null",
    "messages": "id, epoch_us(time), null, conversation_id",
}


def read(connection, lake, dataset, columns):
    found = glob.glob(f"{glob.escape(lake)}/{dataset}/**/*.parquet", recursive=True)
    sql = f"select {columns} from read_parquet($1, hive_partitioning = false, filename = true)"
    return connection.execute(sql, [found]).fetchall() if found else []


for line in sys.stdin:
    task = json.loads(line)
    try:
        connection = duckdb.connect()
        if isinstance(task, list):
            answer = {"ids": [row[0] for row in read(connection, *task, "id")]}
        else:
            answer = {name: read(connection, task, name, f"{columns}, filename") for name, columns in COLUMNS.items()}
    except (duckdb.Error, OSError) as error:
        answer = {"error": str(error)}
    print(json.dumps(answer), flush=True)
