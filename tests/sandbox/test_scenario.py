from dataclasses import replace

from sandbox.observer import OrganizationSnapshot
from sandbox.scenario import DEAD_LETTER_SECONDS, QUIET_SECONDS, SettledDetector

ARRIVED = OrganizationSnapshot(
    "acme", "active", None, None, None, in_jira=5, in_kafka=5, accepted=5, dead_letters=0
)


def test_it_is_settled_when_all_has_arrived_and_nothing_changes_any_more():
    """Neither a record under way nor one that comes twice may be missed; a new state alone is no news."""
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


def test_dead_letters_are_not_waited_for_but_looked_at_longer():
    """They may be of something else than a record."""
    now = [0.0]
    settled = SettledDetector(lambda: now[0])
    snapshots = [replace(ARRIVED, in_kafka=5, accepted=4, dead_letters=1)]
    assert not settled(snapshots)
    now[0] = QUIET_SECONDS
    assert not settled(snapshots)
    now[0] = DEAD_LETTER_SECONDS
    assert settled(snapshots)
