import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumer.delivery.bisection import AcceptanceLog, RejectBisector
from consumer.destinations.outcome import Reject
from tests.support.batches import rows

REJECTION = Reject("400", 400)


class FakeFlow:
    """Refuses bodies with a poison row, and everything while it is broken."""

    def __init__(self, poison, draw):
        self.acceptance_log = AcceptanceLog()
        self.poison = poison
        self.draw = draw
        self.broken = False
        self.accepted = []
        self.requests = 0

    def accepts(self, body):
        self.requests += 1
        started = self.acceptance_log.tick()
        taken = not (self.broken or self.poison & set(body.encoded))
        self.acceptance_log.record_answer(started, accepted=taken)
        self.accepted += body.encoded if taken else []
        return taken

    def bisect(self, body):
        return RejectBisector(body, REJECTION, self.acceptance_log, self.draw)


def run_bisection(bisector, flow):
    """Until it waits; returns the rows that are confirmed bad."""
    confirmed_bad = []
    while (part := bisector.next_rows()) is not None:
        if flow.accepts(part):
            bisector.record_accepted()
        elif bisector.record_rejected(part, REJECTION):
            confirmed_bad += part.encoded
    return confirmed_bad


def numbered(count):
    return rows([b"%d" % number for number in range(count)])


draws = st.randoms(use_true_random=False).map(lambda each: each.random)


@given(st.integers(1, 60), st.data(), draws)
@settings(max_examples=80)
def test_the_bad_rows_alone_are_blamed_and_the_good_ones_sent_once(count, data, draw):
    """As long as the flow takes other things, each of which may speak against one row."""
    body = numbered(count)
    poison = set(data.draw(st.lists(st.sampled_from(list(body.encoded)), min_size=1)))
    flow = FakeFlow(poison, draw)
    assert not flow.accepts(body)
    bisector, confirmed_bad = flow.bisect(body), []
    for _ in range(3 * len(poison) + 3):
        confirmed_bad += run_bisection(bisector, flow)
        assert flow.accepts(rows([b"something else"]))

    assert bisector.done
    assert sorted(confirmed_bad) == sorted(poison)
    sent = [each for each in flow.accepted if each != b"something else"]
    assert sorted(sent) == sorted(set(body.encoded) - poison)


@given(st.integers(1, 300), st.integers(1, 5), draws)
@settings(max_examples=30)
def test_a_flow_that_rejects_everything_costs_no_row_and_few_requests(count, rounds, draw):
    body = numbered(count)
    flow = FakeFlow(set(), draw)
    flow.broken = True
    assert not flow.accepts(body)
    bisector = flow.bisect(body)
    for _ in range(rounds):
        assert run_bisection(bisector, flow) == []
        assert not bisector.done
        assert bisector.config_fault_suspected
        assert bisector.restart() == []

    assert flow.requests <= 1 + rounds * (2 * count.bit_length() + 4)
    flow.broken = False
    assert run_bisection(bisector, flow) == []
    assert bisector.done
    assert sorted(flow.accepted) == sorted(body.encoded)


@given(st.integers(2, 40), st.lists(st.booleans(), max_size=80), st.data(), draws)
@settings(max_examples=80)
def test_a_rule_must_break_twice_in_the_very_moment_to_cost_a_row(count, breaks, data, draw):
    """It breaks and heals between any two requests, other records come in between, and one row is bad all the while."""
    body = numbered(count)
    poison = data.draw(st.sampled_from(list(body.encoded)))
    flow = FakeFlow({poison}, draw)
    assert not flow.accepts(body)
    bisector, confirmed_bad, broke = flow.bisect(body), [], 0
    for broken_now in breaks:
        broke += broken_now and not flow.broken
        flow.broken = broken_now
        part = bisector.next_rows()
        if part is None:
            flow.accepts(rows([b"something else"]))
        elif flow.accepts(part):
            bisector.record_accepted()
        elif bisector.record_rejected(part, REJECTION):
            confirmed_bad += part.encoded

    assert len(set(confirmed_bad) - {poison}) <= broke // 2
    assert len(confirmed_bad) == len(set(confirmed_bad))


def test_a_single_row_is_not_blamed_before_the_stream_has_taken_another():
    flow = FakeFlow({b"0"}, lambda: 0.0)
    assert not flow.accepts(numbered(1))
    bisector = flow.bisect(numbered(1))

    assert run_bisection(bisector, flow) == []
    assert bisector.restart() == []
    assert run_bisection(bisector, flow) == []
    assert flow.accepts(rows([b"something else"]))
    assert run_bisection(bisector, flow) == []
    assert flow.accepts(rows([b"something else"]))
    assert run_bisection(bisector, flow) == [b"0"]


def test_a_single_row_is_blamed_where_nothing_else_is_sent():
    """Refused right after another was accepted, and the flow has been asked nothing since."""
    flow = FakeFlow({b"0"}, lambda: 0.0)
    assert not flow.accepts(numbered(1))
    bisector = flow.bisect(numbered(1))
    assert flow.accepts(rows([b"something else"]))
    assert run_bisection(bisector, flow) == []
    (confirmed_bad,) = bisector.restart()
    assert list(confirmed_bad.encoded) == [b"0"]
    assert bisector.done


def test_a_flow_that_rejects_others_too_is_not_believed():
    flow = FakeFlow({b"0"}, lambda: 0.0)
    assert not flow.accepts(numbered(1))
    bisector = flow.bisect(numbered(1))
    assert flow.accepts(rows([b"something else"]))
    assert run_bisection(bisector, flow) == []
    flow.broken = True
    assert not flow.accepts(rows([b"something else"]))
    assert bisector.restart() == []


def test_an_acceptance_before_or_at_the_same_time_proves_nothing():
    """A request begun before the refusal may have been served before the rule broke."""
    acceptance_log = AcceptanceLog()
    slow = acceptance_log.tick()
    bisector = RejectBisector(numbered(1), REJECTION, acceptance_log)
    acceptance_log.record_answer(slow, accepted=True)
    assert bisector.next_rows() is None


@pytest.mark.parametrize("half", [slice(0, 32), slice(32, 64)])
def test_good_rows_behind_bad_ones_are_reached_sooner_or_later(half):
    """Half of the body is bad and nothing else comes: some round begins at the other end."""
    body = numbered(64)
    for seed in range(20):
        draw = iter([(seed * 7919 + step * 104_729) % 1000 / 1000 for step in range(10_000)])
        flow = FakeFlow(set(body[half].encoded), lambda draw=draw: next(draw))
        bisector = flow.bisect(body)
        for _ in range(100):
            run_bisection(bisector, flow)
            bisector.restart()
        assert len(flow.accepted) == 32


@pytest.mark.parametrize("bodies", [1, 3])
def test_several_bad_rows_are_blamed_however_seldom_others_are_accepted(bodies):
    """Each wait passes without an acceptance, and the bad rows are each other's answers; evidence of earlier waits is kept."""
    flow = FakeFlow({b"0", b"1"}, lambda: 0.0)
    bisectors = []
    for _ in range(bodies):
        assert not flow.accepts(numbered(2))
        bisectors.append(flow.bisect(numbered(2)))
    confirmed_bad = []
    for _ in range(8 * bodies):
        assert flow.accepts(rows([b"something else"]))
        for _ in range(3):
            for bisector in bisectors:
                confirmed_bad += run_bisection(bisector, flow)
            for bisector in bisectors:
                confirmed_bad += [row for part in bisector.restart() for row in part.encoded]
    assert sorted(confirmed_bad) == sorted([b"0", b"1"] * bodies)
    assert all(bisector.done for bisector in bisectors)


def test_evidence_that_is_kept_blames_no_row_while_the_flow_accepts_nothing():
    """The flow breaks right after an acceptance: one rejection counts against a good row, and no further one without another."""
    flow = FakeFlow(set(), lambda: 0.0)
    bisector = flow.bisect(numbered(1))
    assert flow.accepts(rows([b"something else"]))
    flow.broken = True
    assert run_bisection(bisector, flow) == []
    assert not flow.accepts(rows([b"something else"]))
    for _ in range(5):
        assert bisector.restart() == []
        assert run_bisection(bisector, flow) == []
    flow.broken = False
    assert bisector.restart() == []
    assert run_bisection(bisector, flow) == []
    assert bisector.done
    assert b"0" in flow.accepted
