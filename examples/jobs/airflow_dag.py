"""Brings the table up to now every hour, then hands on which partitions changed.

The binary is on the workers; the key is in Airflow's connection `converse_export`, as its password.
"""

import json
from datetime import datetime, timedelta

from airflow import DAG
from airflow.exceptions import AirflowFailException

try:
    from airflow.providers.standard.operators.bash import BashOperator
    from airflow.providers.standard.operators.python import PythonOperator
except ImportError:  # before Airflow 3
    from airflow.operators.bash import BashOperator
    from airflow.operators.python import PythonOperator

OUT = "/srv/lake/converse"

# any other code than 0 is a failure, and tried again: fetched pages are kept;
# 4 is done, with rejected records kept
SYNC = f"""
set +e
converse-export sync --bot r3-218210 --out {OUT} --since 2023-10-01 --json --log-format json | tr -d '\\n'
code=${{PIPESTATUS[0]}}
[ "$code" -eq 4 ] && code=0
exit "$code"
"""


def changed_partitions(ti):
    """The partitions that this run changed: what a job after it has to load."""
    summary = json.loads(ti.xcom_pull(task_ids="sync") or "{}")
    if not summary:
        raise AirflowFailException("sync told nothing")
    datasets = summary["datasets"].values()
    return [f"{OUT}/{partition['path']}" for dataset in datasets for partition in dataset["partitions"]]


with DAG(
    dag_id="converse_export",
    start_date=datetime(2023, 10, 1),
    schedule="@hourly",
    catchup=False,  # a run brings everything up to now
    max_active_runs=1,
    default_args={"retries": 5, "retry_delay": timedelta(minutes=10), "execution_timeout": timedelta(hours=12)},
) as dag:
    sync = BashOperator(
        task_id="sync",
        bash_command=SYNC,
        env={"CONVERSE_EXPORT_API_KEY": "{{ conn.converse_export.password }}"},
        append_env=True,
        do_xcom_push=True,
    )
    changed = PythonOperator(task_id="changed", python_callable=changed_partitions)
    sync >> changed
