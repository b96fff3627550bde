"""The transition table is whole and right by itself: what code, documentation and these tests read is the same data."""

from commonry.bookings.rules.transitions import COMMANDS, ENDS, LIVE, STEPS
from commonry.contracts.bookings import BookingState


def reachable(start: str) -> set[str]:
    """Every step that can follow `start`, by the saga or by people."""
    seen: set[str] = set()
    todo = [start]
    while todo:
        step = todo.pop()
        if step not in seen:
            seen.add(step)
            todo += STEPS[step].leads_to
            todo += [c.to for c in COMMANDS.values() if step in c.from_]
    return seen


def test_every_step_is_reached_and_every_booking_can_end() -> None:
    assert reachable("hold") == set(STEPS)
    assert all("over" in reachable(step) for step in STEPS)


def test_rule_18_the_calendar_is_freed_only_after_the_money_is_undone() -> None:
    before_calendar = [name for name, step in STEPS.items() if "undo_calendar" in step.leads_to]
    assert before_calendar == ["undo_money"]


def test_people_act_only_where_the_saga_waits() -> None:
    for name, command in COMMANDS.items():
        assert all(STEPS[step].kind == "waits" for step in command.from_), name


def test_a_command_that_ends_a_booking_goes_through_the_undo() -> None:
    for command in COMMANDS.values():
        assert (command.ending is None) or command.to == "undo_money"
        assert command.ending is None or command.ending in ENDS


def test_states_are_those_of_the_contract() -> None:
    assert set(BookingState.__args__) == ENDS | LIVE
    assert {s.state for s in STEPS.values() if s.state} == LIVE


def test_only_steps_that_rest_lead_nowhere() -> None:
    assert [name for name, step in STEPS.items() if not step.leads_to] == ["over"]
    assert STEPS["over"].kind == "rests"
