"""Spark 4 reads what an export leaves: map lookup, list, timestamps, the keys `bot` and `date` of the folders.

    make spark                          (needs Java 17 or 21; pyspark comes from pip)
"""

from datetime import date, datetime, timezone

import pyspark
from pyspark.sql import SparkSession
from pyspark.sql import functions as f
from side_by_side import BOT, START, export, folder, run, simulator

CONVERSATIONS, DAYS = 5_000, 5

with folder() as place, simulator(CONVERSATIONS, DAYS) as url:
    run(export(url, DAYS, place / "table", datasets=("conversations", "messages")))
    spark = (
        SparkSession.builder.master("local[2]")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.sql.session.timeZone", "UTC")
        .getOrCreate()
    )
    spark.sparkContext.setLogLevel("ERROR")
    read = spark.read.parquet(str(place / "table" / "conversations"))
    read.printSchema()
    types = dict(read.dtypes)
    assert types == {
        "id": "string",
        "start_time": "timestamp",
        "last_action_at": "timestamp",
        "locale": "string",
        "tags": "array<string>",
        "metadata": "map<string,string>",
        "extra": "map<string,string>",
        "bot": "string",
        "date": "date",
    }, types
    assert read.count() == CONVERSATIONS

    # the keys of the folders
    assert [row.bot for row in read.select("bot").distinct().collect()] == [BOT]
    days = {row.date: row["count"] for row in read.groupBy("date").count().collect()}
    assert min(days) == START and sum(days.values()) == CONVERSATIONS, days
    one = read.where(f.col("date") == date(2023, 10, 2))
    assert one.count() == days[date(2023, 10, 2)]

    # timestamps: every row lies in the day of its folder
    assert read.where(f.to_date("start_time") != f.col("date")).count() == 0
    first = read.agg(f.min("start_time")).collect()[0][0].astimezone(timezone.utc)
    assert datetime(2023, 10, 1, tzinfo=timezone.utc) <= first < datetime(2023, 10, 2, tzinfo=timezone.utc), first
    assert read.where(f.col("last_action_at") < f.col("start_time")).count() == 0

    # map lookup and list
    channels = read.groupBy(f.col("metadata")["__sys_channel"].alias("channel")).count().collect()
    assert sum(row["count"] for row in channels) == CONVERSATIONS and len(channels) > 1, channels
    tagged = read.where(f.array_contains("tags", "resolved")).count()
    exploded = read.select(f.explode("tags").alias("tag")).where("tag = 'resolved'").count()
    assert 0 < tagged <= exploded, (tagged, exploded)

    # messages of a conversation
    messages = spark.read.parquet(str(place / "table" / "messages"))
    joined = messages.join(read.select(f.col("id").alias("conversation_id")), "conversation_id").count()
    assert joined == messages.count() > CONVERSATIONS
    asked = messages.where("type = 'UserInput'").select(f.get_json_object("out_msg", "$.text"), "user_input").count()
    assert asked > 0
    print(f"Spark {pyspark.__version__} reads {CONVERSATIONS:,} conversations and {messages.count():,} messages as they are")
    spark.stop()
