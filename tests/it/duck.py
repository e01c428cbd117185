"""Reads a table with DuckDB and pyarrow, the way its users would; tasks come as JSON, answers go as JSON."""

import datetime
import glob
import hashlib
import json
import os
import sys
import time

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

DATASETS = ("conversations", "messages")


def files(lake, dataset):
    return sorted(glob.glob(f"{glob.escape(lake)}/{dataset}/**/*.parquet", recursive=True))


def connect(lake):
    """A connection in which each dataset that the lake holds is a view."""
    connection = duckdb.connect()
    connection.execute("set timezone = 'UTC'")
    for dataset in DATASETS:
        if files(lake, dataset):
            pattern = f"{glob.escape(lake)}/{dataset}/**/*.parquet".replace("'", "''")
            connection.execute(
                f"create view {dataset} as "
                f"select * from read_parquet('{pattern}', hive_partitioning = true, filename = 'file')"
            )
    return connection


def sql(task):
    """For each lake the rows of one query; none where the lake holds nothing to be asked."""
    answers = []
    for lake in task["lakes"]:
        held = any(files(lake, dataset) for dataset in DATASETS)
        answers.append(connect(lake).execute(task["sql"]).fetchall() if held else [])
    return answers


def arrow(task):
    """Every file of a dataset as pyarrow sees it: schemas, and rows with times as integers."""
    seen = []
    for path in files(task["lake"], task["dataset"]):
        file = pq.ParquetFile(path)
        table = file.read()
        for number, field in enumerate(table.schema):
            if pa.types.is_timestamp(field.type):
                table = table.set_column(number, field.name, table.column(number).cast(pa.int64()))
        seen.append(
            {
                "path": os.path.relpath(path, task["lake"]),
                "arrow": [[f.name, str(f.type), f.nullable] for f in file.schema_arrow],
                "parquet": [line.strip() for line in str(file.schema).splitlines()[1:] if line.strip()],
                "rows": table.to_pylist(),
            }
        )
    return seen


def watch(task):
    """Asks again and again until a file says stop; tells each distinct answer, and the errors met."""
    answers, errors, reads = set(), set(), 0
    while not os.path.exists(task["stop"]):
        try:
            row = connect(task["lake"]).execute(task["sql"]).fetchone()
            answers.add(json.dumps(row, default=int))
            reads += 1
        except (duckdb.Error, OSError) as error:
            errors.add(str(error).splitlines()[0])
        if reads == 1:
            open(task["ready"], "w").close()
        time.sleep(0.001)
    return {"answers": [json.loads(answer) for answer in answers], "errors": sorted(errors), "reads": reads}


def rewrite(task):
    """Writes a file anew with a change to one of its rows; tells the ids and times that it has then."""
    table, row = pq.read_table(task["path"], partitioning=None), task["row"]
    time = "time" if "time" in table.column_names else "start_time"
    rows = list(range(table.num_rows))

    def set_value(name, value):
        values = table.column(name).to_pylist()
        values[row] = value(values[row])
        field = table.schema.field(name)
        return table.set_column(table.column_names.index(name), field, pa.array(values, field.type))

    match task["change"]:
        case "leave out":
            rows.remove(row)
        case "change places":
            rows[row], rows[row + 1] = rows[row + 1], rows[row]
        case "a day later":
            table = set_value(time, lambda at: at + datetime.timedelta(days=1))
        case "id":
            table = set_value("id", lambda _: task["id"])
    table = table.take(rows)
    labels = pq.read_metadata(task["path"]).metadata
    labels.pop(b"ARROW:schema")
    pq.write_table(table.replace_schema_metadata(labels), task["path"], compression="zstd")
    return {"ids": table.column("id").to_pylist(), "times": table.column(time).cast(pa.int64()).to_pylist()}


def without_first_row(task):
    """Takes the first row out of a file and, where it has one, out of its entry in the manifest alike."""
    path = os.path.join(task["lake"], task["file"])
    table = pq.read_table(path).slice(1)
    metadata = pq.ParquetFile(path).schema_arrow.metadata
    os.remove(path)
    pq.write_table(table.replace_schema_metadata(metadata), path, compression="zstd")
    with open(task["entry"]) as file:
        entry = json.load(file)
    content = open(path, "rb").read()
    ids = "".join(f"{id}\n" for id in table.column("id").to_pylist())
    entry["rows"] = table.num_rows
    entry["bytes"] = len(content)
    entry["sha256"] = hashlib.sha256(content).hexdigest()
    entry["ids_sha256"] = hashlib.sha256(ids.encode()).hexdigest()
    name = f"part-{entry['sha256'][:32]}.parquet"
    os.rename(path, os.path.join(os.path.dirname(path), name))
    entry["path"] = os.path.join(os.path.dirname(task["file"]), name)
    with open(task["entry"], "w") as file:
        json.dump(entry, file)
    return entry["path"]


TASKS = {
    "sql": sql,
    "arrow": arrow,
    "watch": watch,
    "rewrite": rewrite,
    "without_first_row": without_first_row,
}
task = json.load(sys.stdin)
json.dump(TASKS[task["task"]](task), sys.stdout, default=str)
