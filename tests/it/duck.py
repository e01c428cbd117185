"""Reads a table with DuckDB and pyarrow, and words for other engines, the way its users would; tasks come as JSON, answers go as JSON."""

import contextlib
import datetime
import glob
import hashlib
import io
import json
import os
import sys
import time

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
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


def by_key(task):
    """How many rows pyarrow finds for each value of a key of the folders, in order; those of none last."""
    folder = os.path.join(task["lake"], task["dataset"])
    table = ds.dataset(folder, partitioning="hive").to_table(columns=[task["key"]])
    counts = table.group_by(task["key"]).aggregate([([], "count_all")]).sort_by(task["key"]).to_pylist()
    return [[row[task["key"]], row["count_all"]] for row in counts]


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
    entry.pop("checksum", None)
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


TIMES = {"conversations": "start_time", "messages": "time"}


def facts_by_duckdb(lake, dataset, *by):
    """Bot, rows, distinct ids and the sum of the times (seconds) of each partition, or of each file."""
    pattern = f"{glob.escape(lake)}/{dataset}/**/*.parquet".replace("'", "''")
    rows = duckdb.connect(config={"threads": 1}).execute(
        f"select bot, count(*), count(distinct id), sum(epoch_us({TIMES[dataset]}) // 1000000) "
        f"from read_parquet('{pattern}', hive_partitioning = true, filename = 'file') group by bot{''.join(by)}"
    )
    return {(dataset, bot, count, ids, int(times)) for bot, count, ids, times in rows.fetchall()}


def facts_by_pyarrow(lake, dataset):
    """The same of each partition; its files are put together as they are found, as a dataset's reader would."""
    partitions = {}
    for path in files(lake, dataset):
        bot = path.split("/bot=")[1].split("/")[0]
        table = pq.read_table(path, columns=["id", TIMES[dataset]], partitioning=None)
        partitions.setdefault(bot, []).append(table)
    seen = set()
    for bot, tables in partitions.items():
        table = pa.concat_tables(tables)
        seconds = pc.divide(table.column(TIMES[dataset]).cast(pa.int64()), 1_000_000)
        ids = pc.count_distinct(table.column("id")).as_py()
        seen.add((dataset, bot, table.num_rows, ids, pc.sum(seconds).as_py()))
    return seen


def watch_partitions(task, facts):
    """Looks again and again until a file says stop; tells each distinct sight, and how often a file was gone."""
    seen, gone, reads = set(), 0, 0
    while not os.path.exists(task["stop"]):
        for dataset in DATASETS:
            try:
                seen |= facts(task["lake"], dataset)
                reads += 1
            except FileNotFoundError:
                gone += 1
            except duckdb.IOException as error:
                if "No such file" not in str(error) and "No files found" not in str(error):
                    raise
                gone += 1
        if reads:
            open(task["ready"], "w").close()
    return {"seen": sorted(seen), "gone": gone, "reads": reads}


def versions(task):
    """What is true of each version of each partition, where every version is a file that stays."""
    return sorted(set().union(*(facts_by_duckdb(task["lake"], dataset, ", file") for dataset in DATASETS)))


def plain(value):
    """A value as JSON has it: times in microseconds, maps as objects, and what an engine has for null as null."""
    if value is None or value is pd.NaT or isinstance(value, float) and value != value:
        return None
    if isinstance(value, datetime.datetime):
        return (value - datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)) // datetime.timedelta(microseconds=1)
    if isinstance(value, list) and value and isinstance(value[0], tuple):
        return dict(value)
    if isinstance(value, list) and value and isinstance(value[0], dict) and value[0].keys() == {"key", "value"}:
        return {entry["key"]: entry["value"] for entry in value}
    return value.item() if hasattr(value, "item") else value


def conversations(task):
    """Type and values of the columns of conversations, as each engine reads them, by id."""
    paths, columns = files(task["lake"], "conversations"), task["columns"]
    connection = connect(task["lake"])
    types = dict(connection.execute("select column_name, column_type from (describe conversations)").fetchall())
    # DuckDB's times with a zone need one more package to become Python's
    is_time = lambda name: types[name] == "TIMESTAMP WITH TIME ZONE"
    selected = [f"epoch_us({name})" if is_time(name) else name for name in columns]
    rows = connection.execute("select id, " + ", ".join(selected) + " from conversations").fetchall()
    arrow = pa.concat_tables([pq.read_table(path, partitioning=None) for path in paths])
    pandas = pd.concat([pd.read_parquet(path, partitioning=None) for path in paths])
    frame = pl.concat([pl.read_parquet(path, hive_partitioning=False) for path in paths])
    found = {
        "duckdb": ([types[name] for name in columns], rows),
        "pyarrow": (
            [str(arrow.schema.field(name).type) for name in columns],
            zip(*(arrow.column(name).to_pylist() for name in ["id", *columns])),
        ),
        "pandas": (
            [str(pandas[name].dtype) for name in columns],
            zip(*(pandas[name].tolist() for name in ["id", *columns])),
        ),
        "polars": ([str(frame.schema[name]) for name in columns], frame.select("id", *columns).iter_rows()),
    }
    return {
        engine: {"types": named, "rows": {row[0]: [plain(value) for value in row[1:]] for row in rows}}
        for engine, (named, rows) in found.items()
    }


def snippet(task):
    """Carries out the words that `schema` gives for an engine, and tells what there is then."""
    if task.get("printed"):
        if task["engine"] == "duckdb":
            return str(duckdb.connect().execute(task["words"]).fetchall())
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(task["words"], {})
        return printed.getvalue()
    if task["engine"] == "duckdb":
        connection = duckdb.connect()
        connection.execute(task["words"])
        one = lambda sql: connection.execute(f"select {sql}").fetchone()[0]
        return {
            "conversations": one("count(*) from conversations"),
            "messages": one("count(*) from messages"),
            "web": one("count(*) from conversations where metadata['__sys_channel'] = 'web'"),
            "timeless": one("count(*) from conversations where date is null"),
            "bots": one("list(distinct bot order by bot) from messages"),
            "columns": connection.sql("from conversations").columns,
        }
    names = {}
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(task["words"], names)
    assert "web" in printed.getvalue(), printed.getvalue()
    if task["engine"] == "pandas":
        conversations, messages = names["conversations"], names["messages"]
        return {
            "conversations": len(conversations),
            "messages": len(messages),
            "web": int((conversations["metadata"].str.get("__sys_channel") == "web").sum()),
            "timeless": int(conversations["date"].isna().sum()),
            "bots": sorted(messages["bot"].unique()),
            "columns": list(conversations.columns),
        }
    conversations, messages = names["conversations"].collect(), names["messages"].collect()
    return {
        "conversations": conversations.height,
        "messages": messages.height,
        "web": conversations.select(names["channel"] == "web").sum().item(),
        "timeless": conversations["date"].null_count(),
        "bots": sorted(messages["bot"].unique()),
        "columns": conversations.columns,
    }


def by_engine(task):
    """Rows, and the first and the last time (as text) of a column, as each engine reads the folder of conversations."""
    folder, column = f"{task['lake']}/conversations", task["column"]
    pattern = f"{glob.escape(folder)}/**/*.parquet".replace("'", "''")
    connection = duckdb.connect()
    connection.execute("set timezone = 'UTC'")
    duck = connection.execute(
        f"select count(*), min({column})::varchar, max({column})::varchar from read_parquet('{pattern}', hive_partitioning = true)"
    ).fetchone()
    # untyped keys of folders fail where one is null, whatever the columns are
    pandas = pd.read_parquet(folder, partitioning=None)
    times = sorted(str(value) for value in pandas[column].dropna().tolist())
    partitioning = ds.partitioning(pa.schema([("bot", pa.string()), ("date", pa.date32())]), flavor="hive")
    typed = pd.read_parquet(folder, partitioning=partitioning)
    frame = pl.scan_parquet(folder, hive_partitioning=True, hive_schema={"bot": pl.String, "date": pl.Date}).collect()
    python = sorted(str(value) for value in frame[column].drop_nulls().to_list())
    return {
        "duckdb": list(duck),
        "pandas": [len(pandas), times[0], times[-1]],
        "typed": [len(typed), int(typed["date"].isna().sum()), str(min(typed["date"].dropna())), str(max(typed["date"].dropna()))],
        "polars": [frame.height, python[0], python[-1]],
    }


def by_fastparquet(task):
    """The values of each column of a dataset as fastparquet reads them, by file, beside pyarrow's; none where it is missing."""
    try:
        import fastparquet
    except ImportError:
        return None
    compared = {}
    for path in files(task["lake"], task["dataset"]):
        expected = pq.read_table(path, partitioning=None)
        file = fastparquet.ParquetFile(path)
        for name in expected.column_names:
            values = file.to_pandas(columns=[name])[name].tolist()
            # it gives times without their zone
            utc = lambda value: value.tz_localize("UTC") if isinstance(value, pd.Timestamp) and value.tz is None else value
            values = [plain(utc(value)) for value in values]
            wanted = [plain(value) for value in expected.column(name).to_pylist()]
            # and JSON as what it means
            parsed = lambda value, text: json.loads(text) if isinstance(value, (dict, list)) and isinstance(text, str) else text
            same = sum(a == parsed(a, b) for a, b in zip(values, wanted, strict=True))
            read, rows = compared.get(name, (0, 0))
            compared[name] = (read + same, rows + len(wanted))
    return compared


TASKS = {
    "by_engine": by_engine,
    "by_fastparquet": by_fastparquet,
    "conversations": conversations,
    "snippet": snippet,
    "sql": sql,
    "arrow": arrow,
    "by_key": by_key,
    "watch": watch,
    "rewrite": rewrite,
    "without_first_row": without_first_row,
    "watch_duckdb": lambda task: watch_partitions(task, facts_by_duckdb),
    "watch_pyarrow": lambda task: watch_partitions(task, facts_by_pyarrow),
    "versions": versions,
}

task = json.load(sys.stdin)
json.dump(TASKS[task["task"]](task), sys.stdout, default=str)
