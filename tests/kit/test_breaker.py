"""The circuit breaker by a clock of its own: when it opens, whom it lets through, and that nobody else is."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, precondition, rule

from commonry.kit.breaker import SLICES, Breaker, Rules

RULES = Rules(window=10, least=10, share=0.5, in_a_row=3, slow=2, slow_share=0.8, rest=1, longest=4)


class Time:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time():
    return Time()


@pytest.fixture
def breaker(time):
    return Breaker(RULES, clock=time)


def fail(breaker, times=1, *, hard=True):
    for _ in range(times):
        breaker.failed(breaker.admits(), hard=hard)


def succeed(breaker, times=1, seconds=0.0):
    for _ in range(times):
        breaker.succeeded(breaker.admits(), seconds)


def rested(breaker, time):
    """Opened, and over its rest."""
    fail(breaker, RULES.in_a_row)
    time.now += RULES.rest
    return breaker


def test_it_opens_after_so_many_failures_in_a_row(breaker):
    fail(breaker, 2)
    succeed(breaker)
    fail(breaker, 2)
    assert (breaker.state, breaker.wait()) == ("closed", 0)
    fail(breaker)
    assert (breaker.state, breaker.wait()) == ("open", RULES.rest)
    assert not breaker.admits()
    assert not breaker.is_willing()


def test_it_is_healed_by_other_news_and_hears_no_more_of_the_probe_from_before(breaker, time):
    fail(breaker, RULES.in_a_row)
    assert not breaker.is_closed
    rested(breaker, time)
    probe = breaker.admits()
    breaker.heal()
    assert breaker.is_closed
    breaker.failed(probe)
    assert breaker.is_closed
    turn = breaker.turn
    breaker.heal()
    assert breaker.turn == turn, "nothing to heal"


def test_it_opens_when_too_large_a_share_failed(breaker):
    for _ in range(4):
        succeed(breaker)
        fail(breaker)
    succeed(breaker)
    assert breaker.is_closed  # nine are not enough to judge by
    fail(breaker)
    assert breaker.state == "open"


def test_answers_that_nobody_wanted_to_give_count_in_the_share_but_not_in_a_row(breaker):
    fail(breaker, RULES.least - 1, hard=False)
    assert breaker.is_closed
    fail(breaker, hard=False)
    assert breaker.state == "open"


def test_it_opens_when_nearly_all_are_slow(breaker):
    succeed(breaker, 2, seconds=RULES.slow)
    succeed(breaker, 7, seconds=RULES.slow + 0.1)
    assert breaker.is_closed
    succeed(breaker, 1, seconds=RULES.slow + 0.1)
    assert breaker.state == "open"


def test_a_few_slow_ones_do_no_harm(breaker):
    for _ in range(30):
        succeed(breaker, 3)
        succeed(breaker, 7, seconds=60)
    assert breaker.is_closed


def test_the_window_slides(breaker, time):
    for _ in range(6):
        fail(breaker, hard=False)
    time.now += RULES.window
    for _ in range(4):
        fail(breaker, hard=False)
        succeed(breaker)
    assert breaker.is_closed  # 10 of 14 failed, but only 4 of 8 lately
    fail(breaker, 2, hard=False)
    assert breaker.state == "open"


def test_the_window_forgets_slice_by_slice(breaker, time):
    fail(breaker, 4, hard=False)
    time.now += RULES.window - RULES.window / SLICES
    fail(breaker, 5, hard=False)  # the first four still count
    assert breaker.is_closed
    fail(breaker, hard=False)
    assert breaker.state == "open"


def test_a_slice_is_not_mistaken_for_the_same_one_a_turn_earlier(breaker, time):
    for _ in range(20):
        fail(breaker, 9, hard=False)
        time.now += RULES.window
    assert breaker.is_closed


def test_exactly_one_probe_is_let_through(breaker, time):
    rested(breaker, time)
    assert (breaker.state, breaker.is_willing()) == ("half-open", True)
    assert breaker.admits()
    assert not breaker.is_willing()
    assert not any(breaker.admits() for _ in range(100))


def test_a_probe_that_goes_well_closes_it_with_a_clean_slate(breaker, time):
    rested(breaker, time)
    succeed(breaker)
    assert breaker.state == "closed"
    fail(breaker, RULES.in_a_row - 1)
    assert breaker.state == "closed"


def test_a_probe_that_fails_makes_it_rest_longer_each_time_up_to_a_bound(breaker, time):
    rested(breaker, time)
    for rest in (2, 4, 4):
        fail(breaker)
        assert (breaker.state, breaker.wait()) == ("open", rest)
        time.now += rest - 0.01
        assert not breaker.admits()
        time.now += 0.01
    succeed(breaker)
    fail(breaker, RULES.in_a_row)
    assert breaker.wait() == RULES.rest  # all is forgiven


def test_a_cancelled_probe_frees_its_place_and_says_nothing(breaker, time):
    rested(breaker, time)
    breaker.gave_up(breaker.admits())
    assert breaker.state == "half-open"
    assert breaker.admits()
    assert not breaker.admits()


@pytest.mark.parametrize("outcome", ["succeeded", "failed", "gave_up"])
def test_a_late_outcome_of_a_call_admitted_before_is_not_taken_for_the_probes(breaker, time, outcome):
    """Else an old call that is cancelled would let a second probe in, and an old success would close it."""
    early = breaker.admits()
    rested(breaker, time)
    probe = breaker.admits()
    getattr(breaker, outcome)(early)
    assert (breaker.state, breaker.admits()) == ("half-open", 0)
    breaker.failed(probe)
    assert breaker.wait() == 2


@pytest.mark.parametrize("outcome", ["succeeded", "failed", "gave_up"])
def test_a_late_outcome_changes_nothing_while_it_is_open(breaker, time, outcome):
    early = breaker.admits()
    fail(breaker, RULES.in_a_row)
    time.now += 0.4
    getattr(breaker, outcome)(early)
    assert (breaker.state, breaker.wait()) == ("open", pytest.approx(0.6))


def test_a_late_failure_does_not_count_once_it_is_closed_again(breaker, time):
    early = [breaker.admits() for _ in range(RULES.in_a_row)]
    rested(breaker, time)
    succeed(breaker)
    for call in early:
        breaker.failed(call)
    assert breaker.state == "closed"


def test_it_can_be_tripped_once(breaker, time):
    breaker.trip()
    assert breaker.state == "open"
    time.now += 0.5
    breaker.trip()
    assert breaker.wait() == 0.5


def test_changes_are_told(time):
    told = []
    breaker = Breaker(RULES, clock=time, told=told.append)
    rested(breaker, time)
    fail(breaker)
    time.now += 2
    succeed(breaker)
    assert told == ["open", "open", "closed"]


class Attack(RuleBasedStateMachine):
    """Calls that begin, end and are called off in any order, at any time."""

    calls = Bundle("calls")

    @initialize()
    def begin(self):
        self.time = Time()
        self.breaker = Breaker(RULES, clock=self.time)
        self.probes, self.opened = set(), 0

    @rule(target=calls)
    def call(self):
        was_closed, willing = self.breaker.is_closed, self.breaker.is_willing()
        turn = self.breaker.admits()
        assert bool(turn) is willing
        call = object() if turn else None
        if turn and not was_closed:
            assert not self.probes, "there is a probe under way already"
            self.probes.add(call)
        return call, turn

    @rule(call=consumes(calls), outcome=st.sampled_from(["well", "slow", "hard", "soft", "called off"]))
    def end(self, call, outcome):
        call, turn = call
        if call is None:
            return
        before, was_probe = self.breaker.state, call in self.probes
        wait = self.breaker.wait()
        self.probes.discard(call)
        match outcome:
            case "called off":
                self.breaker.gave_up(turn)
            case "well" | "slow":
                self.breaker.succeeded(turn, 9 if outcome == "slow" else 0)
            case _:
                self.breaker.failed(turn, hard=outcome == "hard")
        if before == "closed":
            assert self.breaker.state in ("closed", "open")
        elif not was_probe:
            assert (self.breaker.state, self.breaker.wait()) == (before, wait), "an old call has changed it"
        elif outcome == "called off":
            assert self.breaker.is_willing()
        else:
            assert self.breaker.state == ("closed" if outcome in ("well", "slow") else "open")

    @rule(seconds=st.sampled_from([0.1, 0.5, 1, 2, 4, 20]))
    def wait(self, seconds):
        self.time.now += seconds

    @precondition(lambda self: self.breaker.is_closed)
    @rule()
    def trip(self):
        self.breaker.trip()

    @invariant()
    def at_most_one_probe_is_under_way(self):
        assert len(self.probes) <= 1

    @invariant()
    def it_never_rests_longer_than_allowed(self):
        assert self.breaker.wait() <= RULES.longest + 1e-6  # its clock is a float


TestAttack = Attack.TestCase
TestAttack.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
