from dataclasses import replace

from sandbox.observer import OrganizationSnapshot
from sandbox.scenario import DEAD_LETTER_SECONDS, QUIET_SECONDS, AllArrivedDetector

INTERVAL = 2.0
ARRIVED = OrganizationSnapshot(
    "acme", "active", None, None, None, in_jira=5, in_kafka=5, accepted={"sentinel": 5, "http": 5}
)


def test_all_records_have_arrived_when_counts_stay_the_same():
    """Each change of a count starts the quiet time again; a change of state alone does not."""
    now = [0.0]
    all_arrived = AllArrivedDetector(lambda: now[0], INTERVAL)
    assert not all_arrived([replace(ARRIVED, accepted={"sentinel": 5, "http": 4})])
    now[0] = QUIET_SECONDS + INTERVAL
    assert not all_arrived([ARRIVED])
    now[0] += QUIET_SECONDS + INTERVAL
    assert all_arrived([replace(ARRIVED, state="waiting", complete_up_to=7)])
    assert not all_arrived([replace(ARRIVED, in_kafka=6)])
    now[0] += QUIET_SECONDS + INTERVAL - 0.1
    assert not all_arrived([replace(ARRIVED, in_kafka=6)])
    now[0] += 0.1
    assert all_arrived([replace(ARRIVED, in_kafka=6)])


def test_dead_letters_extend_the_quiet_time():
    """With a dead letter in the place of a record, the wait for arrival is the longer one."""
    now = [0.0]
    all_arrived = AllArrivedDetector(lambda: now[0], INTERVAL)
    snapshots = [replace(ARRIVED, in_kafka=5, accepted={"sentinel": 5, "http": 4}, undeliverable={"http": 1})]
    assert not all_arrived(snapshots)
    now[0] = QUIET_SECONDS + INTERVAL
    assert not all_arrived(snapshots)
    now[0] = DEAD_LETTER_SECONDS + INTERVAL
    assert all_arrived(snapshots)
