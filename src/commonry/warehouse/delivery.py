"""A finished build for others too: as Parquet files, or in a database such as BigQuery, by dlt.

The platform itself always reads its own DuckDB. Elsewhere every table is put in place of the one before, which needs
nothing but loading (BigQuery's free sandbox lets one do no more); where there is SQL, the marts are views, in the
dialect of that database.
"""

import os
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from commonry.warehouse.duck import Duck, opened
from commonry.warehouse.extract.load import QUIET
from commonry.warehouse.folder import Build, Folder
from commonry.warehouse.transform.dialects import creating
from commonry.warehouse.transform.tables import marts, tables

FILES = ("file", "s3", "gs", "gcs", "az", "abfss")
"""Schemes of URLs where files go."""
DATASET = "commonry"
GIVEN = ("build", "factors")
"""Tables beside the star that its marts read."""
ROWS = 50_000
Tell = Callable[[str], None]


class Destination(NamedTuple):
    """Where to, as dlt has it, and the dataset there: a folder, or a schema."""

    to: Any
    dataset: str
    takes_files: bool


def destination(url: str) -> Destination:
    """What `COMMONRY_WAREHOUSE_URL` names. Credentials are found where dlt looks for them."""
    import dlt

    parts = urlsplit(url)
    if parts.scheme in FILES:
        above, _, name = url.rstrip("/").rpartition("/")
        return Destination(dlt.destinations.filesystem(bucket_url=above), name, takes_files=True)
    if parts.scheme == "bigquery":
        os.environ.setdefault("DESTINATION__BIGQUERY__CREDENTIALS__PROJECT_ID", parts.netloc)
        return Destination(dlt.destinations.bigquery(), parts.path.strip("/") or DATASET, takes_files=False)
    made: Any = dlt.destination(parts.scheme, credentials=url)
    return Destination(made, DATASET, takes_files=False)


def deliver(folder: Folder, build: Build, url: str, tell: Tell) -> None:
    """Put all of this build there."""
    os.environ.update(QUIET)
    import dlt

    there = destination(url)
    pipeline: Any = dlt.pipeline(
        "commonry_delivery",
        pipelines_dir=str(folder.work / "delivery"),
        destination=there.to,
        dataset_name=there.dataset,
    )
    every = tables() if there.takes_files else [t for t in tables() if t not in marts()]
    with opened(build.star, read_only=True) as duck:
        resources = [_resource(dlt, duck, name, tell) for name in (*GIVEN, *(t.name for t in every))]
        pipeline.run(resources, loader_file_format="parquet")
    if not there.takes_files:
        _make_marts(pipeline, there.dataset)


def _resource(dlt: Any, duck: Duck, name: str, tell: Tell) -> Any:
    def rows() -> Iterator[Any]:
        tell(f"delivering {name}")
        reader = duck.table(name).to_arrow_reader(ROWS)
        yield reader.schema.empty_table()  # so that one without rows is there too
        yield from reader

    return dlt.resource(rows, name=name, write_disposition="replace")


def _make_marts(pipeline: Any, dataset: str) -> None:
    with pipeline.sql_client() as client:
        dialect = pipeline.destination.capabilities().sqlglot_dialect
        for mart in marts():
            client.execute_sql(creating(dialect, mart, dataset, "VIEW"))
