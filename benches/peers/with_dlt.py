"""dlt, as its documentation says: a REST source along the cursor, a file system as the destination, Parquet."""

import os
import sys

# its usual JSON library ends a run at an integer of more than 64 bits, which metadata may hold
os.environ["DLT_USE_JSON"] = "simplejson"

import dlt
from dlt.sources.helpers.rest_client import RESTClient
from dlt.sources.helpers.rest_client.paginators import JSONResponseCursorPaginator

URL, OUT, START, END = sys.argv[1], os.path.abspath(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])


# metadata stays one column: unpacked it would be hundreds of columns and tables
@dlt.resource(
    primary_key="_id",
    write_disposition="append",
    max_table_nesting=0,
    columns={"metadata": {"data_type": "json"}, "tags": {"data_type": "json"}},
)
def conversations():
    client = RESTClient(
        base_url=URL,
        headers={"x-api-key": os.environ["CONVERSE_EXPORT_API_KEY"]},
        paginator=JSONResponseCursorPaginator(cursor_path="cursor", cursor_param="cursor"),
        data_selector="data",
    )
    asked = {"start_time": START, "end_time": END, "bot_name": "r3-218210", "per_page": 1000}
    yield from client.paginate("/conversations/export/v1/conversations", params=asked)


pipeline = dlt.pipeline(
    pipeline_name="peer",
    pipelines_dir=os.path.join(OUT, "_dlt"),
    destination=dlt.destinations.filesystem(bucket_url=f"file://{OUT}/lake"),
    dataset_name="export",
)
pipeline.run(conversations(), loader_file_format="parquet")
print(pipeline.last_trace.last_normalize_info.row_counts["conversations"])
