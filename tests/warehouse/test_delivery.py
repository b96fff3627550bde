"""A build is delivered as Parquet files and into another database; BigQuery's SQL is translated and parsed, not run.

No BigQuery was reached: there is none to be had where these tests run. What is shown is that every statement can be
said in its dialect without loss that sqlglot knows of, and that the same way ends with equal marts in a DuckDB.
"""

from pathlib import Path

import pytest
import sqlglot
from sqlglot import exp

from commonry.warehouse.delivery import GIVEN, destination
from commonry.warehouse.duck import opened
from commonry.warehouse.transform.dialects import creating, told
from commonry.warehouse.transform.tables import Table, marts, tables
from tests.warehouse.conftest import Warehouse
from tests.warehouse.life import Life

every_table = pytest.mark.parametrize("table", tables(), ids=lambda table: table.name)


@every_table
def test_every_statement_can_be_said_to_bigquery(table: Table) -> None:
    said = creating("bigquery", table, "share")
    parsed = sqlglot.parse_one(said, read="bigquery")
    assert parsed.key == "create"
    assert said.startswith(f"CREATE OR REPLACE TABLE share.{table.name} AS")
    # What sqlglot writes of an expression whose type it does not know, and BigQuery refuses of a date.
    assert not list(parsed.find_all(exp.TimestampTrunc))
    assert not [series for series in parsed.find_all(exp.GenerateSeries) if series.args.get("step")]
    assert "INTERVAL '" not in said
    assert {t.db for t in parsed.find_all(exp.Table)} == {"share"}
    for check in table.checks:
        sqlglot.parse_one(told("bigquery", check.query, "share"), read="bigquery")


@every_table
def test_what_it_is_and_that_it_is_checked_stands_in_the_file(table: Table) -> None:
    assert len(table.words) > 15
    assert table.checks


def test_marts_read_only_the_star() -> None:
    known = {t.name for t in tables()} | set(GIVEN)
    for mart in marts():
        read = {t.name for t in sqlglot.parse_one(mart.query, read="duckdb").find_all(exp.Table)}
        assert read <= known


def test_where_a_url_leads() -> None:
    assert destination("file:///srv/numbers/share").dataset == "share"
    assert destination("s3://bucket/a/share/").takes_files
    bigquery = destination("bigquery://project/share")
    assert (bigquery.dataset, bigquery.takes_files) == ("share", False)
    assert bigquery.to.destination_name == "bigquery"


@pytest.mark.timeout(240)
def test_a_build_is_delivered_as_files_and_into_a_database(town: Warehouse, tmp_path: Path) -> None:
    life = Life(town.server, town.databases, seed=7)
    life.step(150)
    life.close()
    for _ in range(2):  # the second puts itself in place of the first
        town.told(warehouse_url=f"file://{tmp_path}/files")
        town.run()
    with opened(tmp_path / "look.duckdb") as duck:
        for table in tables():
            files = str(tmp_path / "files" / table.name / "*.parquet")
            there = duck.execute("SELECT count(*) FROM read_parquet(?)", [files]).fetchone()
            assert there == (len(rows(town, table.name)),), table.name
    town.told(warehouse_url=f"duckdb:///{tmp_path}/other.duckdb")
    town.run()
    with opened(tmp_path / "other.duckdb", read_only=True) as duck:
        for mart in marts():
            there = sorted(map(repr, duck.execute(AS_TEXT.format(f"commonry.{mart.name}")).fetchall()))
            assert there == sorted(map(repr, rows(town, mart.name))), mart.name


AS_TEXT = "SELECT COLUMNS(*)::VARCHAR FROM {}"
"""Ids are texts where they are delivered: not every database has a type of its own for them."""


def rows(town: Warehouse, table: str) -> list[tuple[object, ...]]:
    build = town.folder.current()
    assert build is not None
    with opened(build.star, read_only=True) as duck:
        return duck.execute(AS_TEXT.format(table)).fetchall()
