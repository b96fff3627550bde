"""From the dashboards' descriptions to the files that Grafana loads."""

import json
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from tools.dashboards import bookings, gateway, overview, postgres, redis, service
from tools.dashboards.layout import Sheet, laid_out

FOLDER = Path(__file__).parents[2] / "deploy" / "grafana" / "dashboards"
SHEETS: tuple[Sheet, ...] = (
    overview.SHEET,
    service.SHEET,
    bookings.SHEET,
    gateway.SHEET,
    postgres.SHEET,
    redis.SHEET,
)


def rendered() -> dict[str, str]:
    """File name → JSON, of every dashboard."""
    return {f"{sheet.name}.json": _json(sheet) for sheet in SHEETS}


def written(folder: Path = FOLDER) -> list[Path]:
    """Write those that are not as they should be, and take away those that nobody describes; which they were."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted = rendered()
    changed = [path for path in folder.glob("*.json") if path.name not in wanted]
    for path in changed:
        path.unlink()
    for name, text in wanted.items():
        path = folder / name
        if not path.exists() or path.read_text("utf-8") != text:
            path.write_text(text, "utf-8")
            changed.append(path)
    return changed


def _json(sheet: Sheet) -> str:
    return json.dumps(laid_out(sheet), cls=JSONEncoder, indent=1, ensure_ascii=False, sort_keys=True) + "\n"
