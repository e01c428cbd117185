"""How our files read beside what pyarrow and DuckDB write of the same rows in the same partitions.

    make readers                        (or python benches/readers.py --conversations N --days N --rounds N)

All three hold the same rows in the same order, a file a day, so each of the others is at its best. Queries run in
DuckDB, by turns, on one connection; figures are medians. It fails where a figure misses its target.

Where DuckDB knows that a column of a file has no nulls (it copies Parquet whose statistics say so) it declares the column
required in that file, and reads it without looking for nulls. Files of one table then have different schemas, so this is
shown, but not what ours are judged by.
"""

import argparse
import statistics
import subprocess
import sys
import time
from datetime import timedelta

import duckdb
import pyarrow.parquet as pq
from side_by_side import BINARY, START, export, folder, run, simulator, table

# the most of the better of the others that ours may take
SIZE, SCAN, LOOKUP, PROMOTED = 0.95, 1.05, 1 / 3, 1 / 10
KEY, NAME, VALUE = "__sys_userCountry", "country", "DE"

parser = argparse.ArgumentParser()
parser.add_argument("--conversations", type=int, default=500_000)
parser.add_argument("--days", type=int, default=14)
parser.add_argument("--rounds", type=int, default=15)
options = parser.parse_args()
promotes = "--promote" in subprocess.run([BINARY, "export", "--help"], capture_output=True, text=True).stdout
missed = []


def judged(what, share, most):
    if share > most:
        missed.append(what)
    return f"{share:.2f} (at most {most:.2f}){' MISSED' if share > most else ''}"


def size(place):
    return sum(path.stat().st_size for path in place.rglob("*.parquet"))


def timed(database, queries):
    """The median seconds of each of these queries, by turns; all have to answer the same."""
    took = {name: [] for name in queries}
    answers = {}
    for number in range(options.rounds + 1):
        for name, query in queries.items():
            begin = time.perf_counter()
            answers[name] = database.execute(query).fetchall()
            if number > 0:
                took[name].append(time.perf_counter() - begin)
    first, *others = answers.values()
    if any(other != first for other in others):
        sys.exit(f"not the same answers to {list(queries.values())}: {answers}")
    return {name: statistics.median(each) for name, each in took.items()}


with folder() as place, simulator(options.conversations, options.days) as url:
    run(export(url, options.days, place / "table"))
    ours = place / "table" / "conversations"
    if promotes:
        run(export(url, options.days, place / "promoted", "--promote", f"{KEY}:string={NAME}"))
    database = duckdb.connect()
    for file in sorted(ours.rglob("*.parquet")):
        part = file.relative_to(ours).with_name("part.parquet")
        beside = {name: place / name / part for name in ("pyarrow", "DuckDB", "required")}
        for path in beside.values():
            path.parent.mkdir(parents=True)
        # without our own description of the columns, which pyarrow would write again
        rows = pq.ParquetFile(file).read().replace_schema_metadata()
        pq.write_table(rows, beside["pyarrow"], compression="zstd")
        known = f"read_parquet('{file}', hive_partitioning = false)"
        for name, source in (("DuckDB", "rows"), ("required", known)):
            database.execute(f"COPY (FROM {source}) TO '{beside[name]}' (FORMAT parquet, COMPRESSION zstd)")
    places = {"ours": ours} | {name: place / name for name in ("pyarrow", "DuckDB", "required")}
    sizes = {name: size(where) for name, where in places.items()}
    better = min(sizes["pyarrow"], sizes["DuckDB"])
    rows = [
        ["size, MB", *(f"{each / 1e6:.2f}" for each in sizes.values()), judged("size", sizes["ours"] / better, SIZE)]
    ]

    def read(name, where=places):
        return f"read_parquet('{where[name]}/**/*.parquet', hive_partitioning = true)"

    day = START + timedelta(days=options.days - 2)
    one_day = f"start_time >= '{day} 00:00:00+00' AND start_time < '{day + timedelta(days=1)} 00:00:00+00'"
    some_id = database.execute(
        f"SELECT id FROM {read('ours')} ORDER BY md5(id) LIMIT 1"
    ).fetchall()[0][0]
    for what, query, most in [
        ("a day by its time, ms", f"SELECT count(*), max(last_action_at) FROM {{}} WHERE {one_day}", SCAN),
        ("count by locale, ms", "SELECT locale, count(*) FROM {} GROUP BY ALL ORDER BY ALL", SCAN),
        ("a key of the map, ms", f"SELECT count(*) FROM {{}} WHERE metadata['{KEY}'] = '{VALUE}'", SCAN),
        ("one id, ms", f"SELECT id, start_time, locale, tags, metadata FROM {{}} WHERE id = '{some_id}'", LOOKUP),
    ]:
        took = timed(database, {name: query.format(read(name)) for name in places})
        better = min(took["pyarrow"], took["DuckDB"])
        figures = [f"{each * 1e3:.1f}" for each in took.values()]
        rows.append([what, *figures, judged(what, took["ours"] / better, most)])
    if promotes:
        where = {"promoted": place / "promoted" / "conversations"}
        count = f"SELECT count(*) FROM {read('promoted', where)} WHERE"
        took = timed(
            database,
            {"column": f"{count} {NAME} = '{VALUE}'", "map": f"{count} metadata['{KEY}'] = '{VALUE}'"},
        )
        what = "a promoted column beside the map, ms"
        figures = [f"{took['column'] * 1e3:.1f}", f"{took['map'] * 1e3:.1f} (map)", "", ""]
        rows.append([what, *figures, judged(what, took["column"] / took["map"], PROMOTED)])

print(f"{options.conversations:,} conversations of {options.days} days, medians of {options.rounds} rounds")
table(["", *places, "ours / the better of the others"], rows)
if not promotes:
    print("this binary has no --promote: promoted columns were not measured")
sys.exit(1 if missed else 0)
