"""The few kinds of panels that the dashboards are made of, each with a title, a unit, and what to think of it.

Colours mean the same everywhere: green is well, orange wants a look, red wants somebody now; what is neither has the
palette's own.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, statetimeline, table, timeseries
from grafana_foundation_sdk.models import common as look
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

SOURCE = model.DataSourceRef(type_val="prometheus", uid="${datasource}")
GREEN, ORANGE, RED, BLUE, GREY = "green", "orange", "red", "blue", "#8e8e8e"
Limits = Sequence[tuple[float | None, str]]
PLAIN: Limits = ((None, BLUE),)
STATUS = {"2xx": GREEN, "3xx": BLUE, "4xx": ORANGE, "5xx": RED}
NOTHING = "none so far"


def rising(orange: float, red: float) -> Limits:
    """The more, the worse."""
    return ((None, GREEN), (orange, ORANGE), (red, RED))


def falling(orange: float, green: float) -> Limits:
    """The less, the worse: red below `orange`, orange below `green`."""
    return ((None, RED), (orange, ORANGE), (green, GREEN))


NONE_IS_WELL: Limits = ((None, GREEN), (1, RED))
ONE_IS_WELL: Limits = ((None, RED), (1, GREEN))


def lines(
    title: str,
    says: str,
    unit: str,
    queries: Mapping[str, str],
    *,
    w: int = 8,
    h: int = 8,
    stacked: bool = False,
    limits: Limits = (),
    top: float | None = None,
    colours: Mapping[str, str] = {},
) -> timeseries.Panel:
    """A graph. `queries` are legend → expression; `limits` are drawn as dashed lines; `top` is where the axis ends."""
    panel = (
        timeseries.Panel()
        .axis_soft_min(0)
        .line_width(1)
        .fill_opacity(35 if stacked else 8)
        .show_points(look.VisibilityMode.NEVER)
        .legend(common.VizLegendOptions().display_mode(look.LegendDisplayMode.LIST).show_legend(True))
        .tooltip(common.VizTooltipOptions().mode(look.TooltipDisplayMode.MULTI).sort(look.SortOrder.DESCENDING))
        .color_scheme(dashboard.FieldColor().mode(model.FieldColorModeId.PALETTE_CLASSIC_BY_NAME))
    )
    if stacked:
        panel = panel.stacking(common.StackingConfig().mode(look.StackingMode.NORMAL))
    if limits:
        dashed = look.GraphTresholdsStyleMode.DASHED
        panel = panel.thresholds_style(common.GraphThresholdsStyleConfig().mode(dashed))
    if top is not None:
        panel = panel.max(top)
    for name, colour in colours.items():
        fixed = {"mode": "fixed", "fixedColor": colour}
        panel = panel.override_by_name(name, [model.DynamicConfigValue("color", fixed)])
    return _finished(panel, title, says, unit, queries, limits or ((None, GREEN),), w, h)


def number(
    title: str,
    says: str,
    unit: str,
    queries: Mapping[str, str],
    *,
    w: int = 4,
    h: int = 5,
    limits: Limits = PLAIN,
    words: Mapping[str, tuple[str, str]] = {},
    decimals: int | None = None,
) -> stat.Panel:
    """Big numbers, as they are now. `words` stand for values: value → (word, colour)."""
    panel = (
        stat.Panel()
        .graph_mode(look.BigValueGraphMode.AREA if len(queries) == 1 and not words else look.BigValueGraphMode.NONE)
        .color_mode(look.BigValueColorMode.VALUE)
        .justify_mode(look.BigValueJustifyMode.AUTO)
        .text_mode(look.BigValueTextMode.AUTO)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .color_scheme(dashboard.FieldColor().mode(model.FieldColorModeId.THRESHOLDS))
    )
    if words:
        panel = panel.mappings([_worded(words)])
    if decimals is not None:
        panel = panel.decimals(decimals)
    return _finished(panel, title, says, unit, queries, limits, w, h)


def states(
    title: str,
    says: str,
    queries: Mapping[str, str],
    *,
    words: Mapping[str, tuple[str, str]],
    w: int = 12,
    h: int = 8,
) -> statetimeline.Panel:
    """A bar for each thing, in the colour of the state it was in."""
    panel = (
        statetimeline.Panel()
        .show_value(look.VisibilityMode.NEVER)
        .row_height(0.8)
        .fill_opacity(80)
        .line_width(0)
        .merge_values(True)
        .mappings([_worded(words)])
        .legend(common.VizLegendOptions().display_mode(look.LegendDisplayMode.LIST).show_legend(True))
        .color_scheme(dashboard.FieldColor().mode(model.FieldColorModeId.THRESHOLDS))
    )
    return _finished(panel, title, says, "none", queries, ((None, GREY),), w, h)


def listing(
    title: str,
    says: str,
    columns: Mapping[str, tuple[str, str, Limits]],
    *,
    hidden: Sequence[str] = (),
    w: int = 24,
    h: int = 9,
) -> table.Panel:
    """A table: a row for each set of labels, a column for each query: heading → (expression, unit, limits)."""
    panel = (
        table.Panel()
        .title(title)
        .description(says)
        .datasource(SOURCE)
        .height(h)
        .span(w)
        .unit("short")
        .cell_height(look.TableCellHeight.SM)
        .with_transformation(model.DataTransformerConfig(id_val="merge", options={}))
        .with_transformation(model.DataTransformerConfig(id_val="organize", options=_organized(columns, hidden)))
    )
    for letter, (heading, (expr, unit, limits)) in zip("ABCDEF", columns.items(), strict=False):
        panel = panel.with_target(_asked(letter, expr, "").instant().format(PromQueryFormat.TABLE))
        steps = [{"value": at, "color": colour} for at, colour in limits]
        properties = [
            model.DynamicConfigValue("unit", unit),
            model.DynamicConfigValue("thresholds", {"mode": "absolute", "steps": steps}),
            model.DynamicConfigValue("custom.cellOptions", {"type": "color-text"}),
        ]
        panel = panel.override_by_name(heading, properties)
    return panel


def _organized(columns: Mapping[str, Any], hidden: Sequence[str]) -> dict[str, Any]:
    headings = {f"Value #{letter}": heading for letter, heading in zip("ABCDEF", columns, strict=False)}
    return {"excludeByName": dict.fromkeys(("Time", *hidden), True), "renameByName": headings}


def _worded(words: Mapping[str, tuple[str, str]]) -> model.ValueMap:
    return model.ValueMap(
        options={value: model.ValueMappingResult(text=text, color=colour) for value, (text, colour) in words.items()}
    )


def _asked(letter: str, expr: str, legend: str) -> prometheus.Dataquery:
    return prometheus.Dataquery().ref_id(letter).expr(" ".join(expr.split())).legend_format(legend).datasource(SOURCE)


P = TypeVar("P", timeseries.Panel, stat.Panel, statetimeline.Panel)


def _finished(
    panel: P, title: str, says: str, unit: str, queries: Mapping[str, str], limits: Limits, w: int, h: int
) -> P:
    steps = [model.Threshold(value=at, color=colour) for at, colour in limits]
    thresholds = dashboard.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(steps)
    panel.title(title).description(says).datasource(SOURCE).unit(unit).height(h).span(w)
    panel.thresholds(thresholds).no_value(NOTHING)
    for letter, (legend, expr) in zip("ABCDEF", queries.items(), strict=False):
        panel.with_target(_asked(letter, expr, legend))
    return panel
