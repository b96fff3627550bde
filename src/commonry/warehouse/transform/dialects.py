"""The star's SQL in another database's dialect: written once, in DuckDB's, and translated by sqlglot."""

from typing import Any, Literal

from commonry.warehouse.transform.tables import Table


def said_in(dialect: str, query: str, dataset: str) -> Any:
    """A query of ours whose tables are all in this dataset, as sqlglot has it; `creating` and `told` make it text."""
    from sqlglot import exp, parse_one

    parsed: Any = parse_one(query, read="duckdb")
    for series in list(parsed.find_all(exp.GenerateSeries)):  # all of ours are of days
        about = {name: series.args[name] for name in ("start", "end", "step")}
        series.replace(exp.GenerateDateArray(**about))
    if dialect == "bigquery":  # which takes a number of days, and no text
        for span in parsed.find_all(exp.Interval):
            span.set("this", exp.Literal.number(span.name))
    for table in parsed.find_all(exp.Table):
        table.set("db", exp.to_identifier(dataset))
        table.set("catalog", None)
    return parsed


def told(dialect: str, query: str, dataset: str) -> str:
    """The query as text. Raises sqlglot's `UnsupportedError` if the dialect cannot say it."""
    return _text(said_in(dialect, query, dataset), dialect)


def creating(dialect: str, table: Table, dataset: str, kind: Literal["TABLE", "VIEW"] = "TABLE") -> str:
    """The statement that makes this table of the star there."""
    from sqlglot import exp

    name = exp.table_(table.name, db=dataset)
    made: Any = exp.Create(this=name, kind=kind, replace=True, expression=said_in(dialect, table.query, dataset))
    return _text(made, dialect)


def _text(parsed: Any, dialect: str) -> str:
    from sqlglot import ErrorLevel

    return parsed.sql(dialect=dialect, unsupported_level=ErrorLevel.RAISE, pretty=True)
