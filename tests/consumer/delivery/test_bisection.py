import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumer.delivery.bisection import AcceptanceLog, RejectBisector
from consumer.destinations.outcome import Reject
from tests.support.batches import rows

REJECTION = Reject("400", 400)


class FakeStream:
    """Refuses bodies with a poison row, and everything while it is broken."""

    def __init__(self, poison, chance):
        self.acceptance_log = AcceptanceLog()
        self.poison = poison
        self.chance = chance
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
        return RejectBisector(body, REJECTION, self.acceptance_log, self.chance)


def run_bisection(bisector, stream):
    """Until it waits; returns who was found guilty."""
    confirmed_bad = []
    while (part := bisector.next()) is not None:
        if stream.accepts(part):
            bisector.accepted()
        elif bisector.refused_calls(part, REJECTION):
            confirmed_bad += part.encoded
    return confirmed_bad


def numbered(count):
    return rows([b"%d" % number for number in range(count)])


chances = st.randoms(use_true_random=False).map(lambda each: each.random)


@given(st.integers(1, 60), st.data(), chances)
@settings(max_examples=80)
def test_the_bad_rows_alone_are_blamed_and_the_good_ones_sent_once(count, data, chance):
    """As long as the stream takes other things, each of which may speak against one row."""
    body = numbered(count)
    poison = set(data.draw(st.lists(st.sampled_from(body.encoded), min_size=1)))
    stream = FakeStream(poison, chance)
    assert not stream.accepts(body)
    sift, guilty = stream.bisect(body), []
    for _ in range(3 * len(poison) + 3):
        guilty += run_bisection(sift, stream)
        assert stream.accepts(rows([b"something else"]))

    assert sift.done
    assert sorted(guilty) == sorted(poison)
    sent = [each for each in stream.accepted if each != b"something else"]
    assert sorted(sent) == sorted(set(body.encoded) - poison)


@given(st.integers(1, 300), st.integers(1, 5), chances)
@settings(max_examples=30)
def test_a_stream_that_refuses_everything_costs_no_row_and_few_requests(count, rounds, chance):
    body = numbered(count)
    stream = FakeStream(set(), chance)
    stream.broken = True
    assert not stream.accepts(body)
    sift = stream.bisect(body)
    for _ in range(rounds):
        assert run_bisection(sift, stream) == []
        assert not sift.done
        assert sift.config_fault_suspected
        assert sift.restart() == []

    assert stream.requests <= 1 + rounds * (2 * count.bit_length() + 4)
    stream.broken = False
    assert run_bisection(sift, stream) == []
    assert sift.done
    assert sorted(stream.accepted) == sorted(body.encoded)


@given(st.integers(2, 40), st.lists(st.booleans(), max_size=80), st.data(), chances)
@settings(max_examples=80)
def test_a_rule_must_break_twice_in_the_very_moment_to_cost_a_row(count, breaks, data, chance):
    """It breaks and heals between any two requests, other records come in between, and one row is bad all the while."""
    body = numbered(count)
    poison = data.draw(st.sampled_from(body.encoded))
    stream = FakeStream({poison}, chance)
    assert not stream.accepts(body)
    sift, guilty, broke = stream.bisect(body), [], 0
    for breaking in breaks:
        broke += breaking and not stream.broken
        stream.broken = breaking
        piece = sift.next_rows()
        if piece is None:
            stream.accepts(rows([b"something else"]))
        elif stream.accepts(piece):
            sift.record_accepted()
        elif sift.record_rejected(piece, REJECTION):
            guilty += piece.encoded

    assert len(set(guilty) - {poison}) <= broke // 2
    assert len(guilty) == len(set(guilty))


def test_a_single_row_is_not_blamed_before_the_stream_has_taken_another():
    stream = FakeStream({b"0"}, lambda: 0.0)
    assert not stream.accepts(numbered(1))
    sift = stream.bisect(numbered(1))

    assert run_bisection(sift, stream) == []
    assert sift.restart() == []
    assert run_bisection(sift, stream) == []
    assert stream.accepts(rows([b"something else"]))
    assert run_bisection(sift, stream) == []
    assert stream.accepts(rows([b"something else"]))
    assert run_bisection(sift, stream) == [b"0"]


def test_a_single_row_is_blamed_where_nothing_else_is_sent():
    """Refused right after another was accepted, and the stream has been asked nothing since."""
    stream = FakeStream({b"0"}, lambda: 0.0)
    assert not stream.accepts(numbered(1))
    sift = stream.bisect(numbered(1))
    assert stream.accepts(rows([b"something else"]))
    assert run_bisection(sift, stream) == []
    (guilty,) = sift.restart()
    assert guilty.encoded == [b"0"]
    assert sift.done


def test_a_stream_that_refuses_others_too_is_not_believed():
    stream = FakeStream({b"0"}, lambda: 0.0)
    assert not stream.accepts(numbered(1))
    sift = stream.bisect(numbered(1))
    assert stream.accepts(rows([b"something else"]))
    assert run_bisection(sift, stream) == []
    stream.broken = True
    assert not stream.accepts(rows([b"something else"]))
    assert sift.restart() == []


def test_what_was_accepted_before_or_at_the_same_time_says_nothing():
    """A request begun before the refusal may have been served before the rule broke."""
    witness = AcceptanceLog()
    slow = witness.tick()
    sift = RejectBisector(numbered(1), REJECTION, witness)
    witness.record_answer(slow, accepted=True)
    assert sift.next_rows() is None


@pytest.mark.parametrize("half", [slice(0, 32), slice(32, 64)])
def test_good_rows_behind_bad_ones_are_reached_sooner_or_later(half):
    """Half of the body is bad and nothing else comes: some round begins at the other end."""
    body = numbered(64)
    for seed in range(20):
        chance = iter([(seed * 7919 + step * 104_729) % 1000 / 1000 for step in range(10_000)])
        stream = FakeStream(set(body.encoded[half]), lambda chance=chance: next(chance))
        sift = stream.bisect(body)
        for _ in range(100):
            run_bisection(sift, stream)
            sift.restart()
        assert len(stream.accepted) == 32
