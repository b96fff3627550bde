"""The transition table of a booking as a picture and as tables."""

from commonry.bookings.rules.transitions import COMMANDS, STEPS
from tools.docs.markdown import code, table

KINDS = {"acts": "acts at once", "waits": "waits", "rests": "rests"}
WHO = ("borrower", "owner", "manager")


def diagram() -> str:
    """All steps and what leads from one to another; what people do is written on the arrow."""
    lines = ["```mermaid", "stateDiagram-v2", "    [*] --> hold"]
    lines += [f"    {name} : {name}{_state(name)}" for name in STEPS]
    lines += [f"    {at} --> {to}{_commands_on(at, to)}" for at, to in _arrows()]
    lines += [f"    {name} --> [*]" for name, step in STEPS.items() if step.kind == "rests"]
    return "\n".join([*lines, "```"])


def _arrows() -> list[tuple[str, str]]:
    """From step to step, each pair once, those to itself left out."""
    by_itself = [(name, to) for name, step in STEPS.items() for to in step.leads_to if to != name]
    by_people = [(at, command.to) for command in COMMANDS.values() for at in command.from_]
    return list(dict.fromkeys([*by_itself, *by_people]))


def _commands_on(at: str, to: str) -> str:
    names = [name for name, command in COMMANDS.items() if command.to == to and at in command.from_]
    return f" : {', '.join(names)}" if names else ""


def _state(name: str) -> str:
    state = next(step.state for known, step in STEPS.items() if known == name)
    return f" ({state})" if state and state != name else ""


def steps() -> str:
    """Every step."""
    rows = [
        [code(name), code(step.state or "") or "as before", KINDS[step.kind], step.words, _listed(step.leads_to)]
        for name, step in STEPS.items()
    ]
    return table(["step", "state people see", "kind", "what it does", "may lead to"], rows)


def commands() -> str:
    """Everything that people may ask for."""
    rows = [
        [
            code(name),
            ", ".join(who for who in WHO if who in command.who),
            _listed(command.from_),
            code(command.to),
            code(command.ending or ""),
        ]
        for name, command in COMMANDS.items()
    ]
    return table(["command", "who may", "at step", "goes on at", "ends as"], rows)


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(map(code, names)) or "–"
