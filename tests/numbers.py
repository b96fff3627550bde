"""Reads a page of metrics, as Prometheus would."""

from prometheus_client.parser import text_string_to_metric_families

from commonry.kit.telemetry import metrics_page


def numbers(page: bytes | None = None) -> dict[str, float]:
    """Every sample of a page (this process's own without one) by its name and the values of its labels."""
    families = text_string_to_metric_families((page or metrics_page()).decode())
    return {" ".join([s.name, *s.labels.values()]): s.value for family in families for s in family.samples}
