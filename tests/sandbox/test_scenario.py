from dataclasses import replace

from sandbox.observer import OrganizationSnapshot
from sandbox.scenario import DEAD_LETTER_SECONDS, QUIET_SECONDS, SettledDetector

ARRIVED = OrganizationSnapshot(
    "acme", "active", None, None, None, in_jira=5, in_kafka=5, accepted=5, dead_letters=0
)


def test_a_sandbox_is_settled_when_counts_stay_the_same():
    """Each change of a count starts the quiet time again; a change of state alone does not."""
    now = [0.0]
    settled = SettledDetector(lambda: now[0])
    assert not settled([replace(ARRIVED, accepted=4)])
    now[0] = QUIET_SECONDS
    assert not settled([ARRIVED])
    now[0] += QUIET_SECONDS
    assert settled([replace(ARRIVED, state="waiting", complete_up_to=7)])
    assert not settled([replace(ARRIVED, in_kafka=6)])
    now[0] += QUIET_SECONDS - 0.1
    assert not settled([replace(ARRIVED, in_kafka=6)])
    now[0] += 0.1
    assert settled([replace(ARRIVED, in_kafka=6)])


def test_dead_letters_extend_the_quiet_time():
    """With a dead letter in the place of a record, a sandbox settles only after the longer time."""
    now = [0.0]
    settled = SettledDetector(lambda: now[0])
    snapshots = [replace(ARRIVED, in_kafka=5, accepted=4, dead_letters=1)]
    assert not settled(snapshots)
    now[0] = QUIET_SECONDS
    assert not settled(snapshots)
    now[0] = DEAD_LETTER_SECONDS
    assert settled(snapshots)
