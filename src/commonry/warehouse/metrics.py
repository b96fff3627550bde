"""How the warehouse does, for Prometheus: what the last run wrote down, as runs are processes of their own."""

from prometheus_client import Gauge

from commonry.kit.gauges import Known
from commonry.warehouse.folder import Folder

as_of = Known("commonry_etl_as_of_timestamp_seconds", "Until when all that was committed is in the warehouse.")
failed = Known("commonry_etl_failed", "1 when the last run of the warehouse came to nothing; the old numbers stay.")
checks = Known("commonry_etl_failed_checks", "Checks that did not hold, for which the last build was thrown away.")
differences = Known(
    "commonry_etl_differences", "Counts and sums that were not as the services have them, when last compared."
)
rows = Known("commonry_etl_rows", "Rows that the last run read.")
seconds = Gauge("commonry_etl_seconds", "How long each step of the last run took.", ["step"])


def look(folder: Folder) -> None:
    """Say what the last run wrote down, once it has ended."""
    status = folder.status()
    if status is None or status.ended_at is None:
        return
    failed.say(bool(status.trouble))
    checks.say(len(status.failed_checks))
    differences.say(len(status.differences))
    rows.say(sum(status.loaded.values()))
    if status.as_of:
        as_of.say(status.as_of.timestamp())
    for step, took in status.seconds.items():
        seconds.labels(step).set(took)
