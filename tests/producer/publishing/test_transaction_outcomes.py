"""The size of a shard's next transaction, and whether its organizations are failing, by the last transactions."""

from hypothesis import given
from hypothesis import strategies as st

from producer.publishing.transaction_outcomes import DEFAULT_TIMING, TransactionOutcomes
from producer.publishing.transaction_size import TransactionLimits, TransactionSize

MOST = TransactionLimits()
NOW = 1_790_000_000_000
QUICK, SLOW = 0.1, DEFAULT_TIMING.quick_seconds + 1


def full(limits):
    return TransactionSize(limits.max_events, 0, min(limits.max_bytes, 4_000 * limits.max_events))


def test_a_transaction_that_does_not_end_in_time_is_halved_down_to_one_event():
    """Whatever the first size is, a few time-outs lead to one event, and never to none."""
    outcomes, sizes = TransactionOutcomes(), []
    for _ in range(15):
        limits = outcomes.limits(MOST)
        sizes.append(limits.max_events)
        outcomes.timed_out(full(limits))

    assert sizes[:4] == [1000, 500, 250, 125]
    assert sizes[-1] == 1
    assert outcomes.limits(MOST).max_bytes >= 1


def test_sizes_grow_again_after_quick_commits():
    """They double up to the limits of the shard, and no further."""
    outcomes = TransactionOutcomes()
    for _ in range(15):
        outcomes.timed_out(full(outcomes.limits(MOST)))
    sizes = []
    for _ in range(25):
        limits = outcomes.limits(MOST)
        sizes.append(limits.max_events)
        outcomes.committed("acme", full(limits), QUICK)

    assert sizes[:4] == [1, 2, 4, 8]
    assert outcomes.limits(MOST) == MOST


def test_slow_or_small_commits_prove_nothing_about_larger_ones():
    """A small transaction of another organization does not make the next large one large again."""
    outcomes = TransactionOutcomes()
    outcomes.timed_out(TransactionSize(1000, 0, 4_000_000))
    outcomes.committed("globex", TransactionSize(3, 0, 2_000), QUICK)
    outcomes.committed("acme", TransactionSize(500, 0, 2_000_000), SLOW)

    assert outcomes.limits(MOST) == TransactionLimits(500, MOST.max_dead_letters, 2_000_000)


def test_a_checkpoint_that_does_not_end_in_time_says_nothing_about_events():
    outcomes = TransactionOutcomes()
    outcomes.timed_out(TransactionSize(0, 0, 0))

    assert outcomes.limits(MOST) == MOST


@given(
    st.lists(
        st.tuples(st.booleans(), st.integers(0, 1000), st.integers(0, 100), st.integers(0, 9_000_000)),
        max_size=60,
    )
)
def test_the_limits_always_allow_one_event_and_never_exceed_those_of_the_shard(history):
    """Any history of commits and time-outs leaves limits with which a transaction can be made."""
    outcomes = TransactionOutcomes()
    for committed, events, dead_letters, size in history:
        transaction = TransactionSize(events, dead_letters, size)
        if committed:
            outcomes.committed("acme", transaction, QUICK)
        else:
            outcomes.timed_out(transaction)
        limits = outcomes.limits(MOST)
        assert 1 <= limits.max_events <= MOST.max_events
        assert 1 <= limits.max_dead_letters <= MOST.max_dead_letters
        assert 1 <= limits.max_bytes <= MOST.max_bytes


def test_a_few_failures_in_a_row_are_a_problem_of_the_whole_shard():
    """The text says how often, since when and why; one commit of anyone ends it for the others."""
    outcomes = TransactionOutcomes()
    began = [outcomes.failed(["acme"], "Kafka said no.", NOW + number * 1000) for number in range(4)]

    assert began == [[], [], ["acme"], []]
    for name in ("acme", "globex"):
        problem = outcomes.problem(name, NOW + 4000)
        assert problem.startswith(f"{name}: transactions fail, 4 in a row since 2026-09-21T14:13:20Z.")
        assert "Kafka said no. Nothing is lost" in problem
    assert outcomes.committed("globex", TransactionSize(1, 0, 1), QUICK)
    assert outcomes.problem("globex", NOW + 4000) is None
    assert outcomes.problem("acme", NOW + 4000) is not None
    assert outcomes.committed("acme", TransactionSize(1, 0, 1), QUICK)
    assert outcomes.problem("acme", NOW + 4000) is None


def test_one_organization_stays_failing_while_another_commits():
    """Failures in between the commits of others count as in a row."""
    outcomes = TransactionOutcomes()
    for number in range(3):
        outcomes.failed(["acme"], "Too large.", NOW + number)
        outcomes.committed("globex", TransactionSize(1, 0, 1), QUICK)

    assert "3 in a row" in outcomes.problem("acme", NOW + 3)
    assert outcomes.problem("globex", NOW + 3) is None


def test_the_failure_of_one_transaction_counts_once_for_the_shard():
    """It counts for each organization in it too, since one of them may be to blame, until it commits by itself."""
    outcomes = TransactionOutcomes()
    began = outcomes.failed(["acme", "globex", "initech"], "Kafka said no.", NOW)

    assert began == []
    assert outcomes.problem("umbrella", NOW) is None
    assert all(map(outcomes.has_failed, ("acme", "globex", "initech")))
    outcomes.committed("globex", TransactionSize(0, 0, 0), QUICK)
    assert not outcomes.has_failed("globex")
    assert outcomes.has_failed("acme")


def test_a_problem_ends_when_no_transaction_fails_any_more():
    """An organization without new events needs no commit to be active again."""
    outcomes = TransactionOutcomes()
    for _ in range(3):
        outcomes.failed(["acme"], "Kafka said no.", NOW)

    assert outcomes.problem("acme", NOW + DEFAULT_TIMING.quiet_ms - 1)
    assert outcomes.problem("acme", NOW + DEFAULT_TIMING.quiet_ms) is None


def test_one_event_that_a_quota_holds_up_gets_more_time():
    """Larger transactions get smaller first, a slow Kafka gets no more time, and a quick commit ends it."""
    outcomes = TransactionOutcomes()
    usual = DEFAULT_TIMING.transaction_seconds
    outcomes.timed_out(TransactionSize(2, 0, 2_000_000), throttled=True)
    outcomes.timed_out(TransactionSize(1, 0, 1_000_000))
    assert outcomes.transaction_seconds == usual
    allowed = []
    for _ in range(8):
        outcomes.timed_out(TransactionSize(1, 0, 1_000_000), throttled=True)
        allowed.append(outcomes.transaction_seconds)
    assert allowed[:3] == [2 * usual, 4 * usual, 8 * usual]
    assert allowed[-1] == DEFAULT_TIMING.throttled_seconds
    outcomes.committed("acme", TransactionSize(1, 0, 1_000_000), SLOW)
    assert outcomes.transaction_seconds == DEFAULT_TIMING.throttled_seconds
    outcomes.committed("acme", TransactionSize(1, 0, 1_000_000), QUICK)
    assert outcomes.transaction_seconds == usual
