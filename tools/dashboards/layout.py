"""What all dashboards have alike: the data source, the links among them, critical alerts drawn into every graph.

A sheet is rows of panels; a row is 24 wide, and its panels come from left to right.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.models import dashboard as model

from tools.dashboards.panels import SOURCE

TAG = "commonry"


class Row(NamedTuple):
    """A heading and what stands under it."""

    title: str
    panels: Sequence[Any]


class Sheet(NamedTuple):
    """One dashboard. `name` is that of its file, and with `commonry-` before it its address in Grafana."""

    name: str
    title: str
    says: str
    rows: Sequence[Row]
    variables: Sequence[Any] = ()


def laid_out(sheet: Sheet) -> model.Dashboard:
    """The dashboard as Grafana takes it."""
    made = (
        build.Dashboard(f"Commonry · {sheet.title}")
        .uid(f"{TAG}-{sheet.name}")
        .description(sheet.says)
        .tags([TAG])
        .readonly()
        .time("now-3h", "now")
        .refresh("30s")
        .timezone("browser")
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .link(_links())
        .annotation(_alerts())
        .with_variable(build.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
    )
    for variable in sheet.variables:
        made = made.with_variable(variable)
    for row in sheet.rows:
        made = made.with_row(build.Row(row.title))
        for panel in row.panels:
            made = made.with_panel(panel)
    return _numbered(made.build())


def _links() -> build.DashboardLink:
    kind = model.DashboardLinkType.DASHBOARDS
    return build.DashboardLink("Commonry").type(kind).tags([TAG]).keep_time(True).include_vars(True)


def _alerts() -> build.AnnotationQuery:
    return (
        build.AnnotationQuery()
        .name("Critical alerts")
        .datasource(SOURCE)
        .enable(True)
        .icon_color("red")
        .expr('ALERTS{alertname=~"Commonry.+", alertstate="firing", severity="critical"}')
    )


def _numbered(made: model.Dashboard) -> model.Dashboard:
    """Every panel has a number, by which links find it."""
    for number, panel in enumerate(made.panels or (), start=1):
        panel.id_val = number
    return made
