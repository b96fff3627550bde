"""deploy/compose.yaml as tests read it: merged, and with its variables filled in."""

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
VARIABLE = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")


def raw(name: str = "compose.yaml") -> dict[str, Any]:
    """The file, its anchors resolved, its variables not."""
    return yaml.safe_load((DEPLOY / name).read_text())


def filled(thing: Any, environment: Mapping[str, str]) -> Any:
    """The same with every `${NAME}` replaced, as compose does it."""
    if isinstance(thing, str):
        return VARIABLE.sub(lambda match: _value(match, environment), thing)
    if isinstance(thing, list):
        return [filled(part, environment) for part in thing]
    if isinstance(thing, dict):
        return {name: filled(part, environment) for name, part in thing.items()}
    return thing


def _value(match: re.Match[str], environment: Mapping[str, str]) -> str:
    name, how, rest = match.groups()
    if environment.get(name):
        return environment[name]
    assert how == "-", f"{name} has no value"
    return rest


def secrets(file: Path) -> dict[str, str]:
    """What `make compose-up` puts into .env, made in `file`."""
    subprocess.run(["sh", str(DEPLOY / "compose/secrets.sh"), str(file)], check=True)
    lines = (line.partition("=") for line in file.read_text().splitlines() if not line.startswith("#"))
    return {name: value for name, _, value in lines}


def environment(service: Mapping[str, Any]) -> dict[str, str]:
    """A container's environment."""
    return {name: str(value) for name, value in service.get("environment", {}).items()}


def networks(service: Mapping[str, Any]) -> set[str]:
    return set(service.get("networks", ()))


def names(services: Mapping[str, Any]) -> set[str]:
    """Every name by which a container can be found."""
    aliases = {
        alias
        for service in services.values()
        if isinstance(service.get("networks"), dict)
        for told in service["networks"].values()
        for alias in (told or {}).get("aliases", [])
    }
    return set(services) | aliases


def mounts(service: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """(source, target, mode) of what is mounted."""
    split = (volume.split(":") for volume in service.get("volumes", []))
    return [(parts[0], parts[1], parts[2] if len(parts) > 2 else "rw") for parts in split]
