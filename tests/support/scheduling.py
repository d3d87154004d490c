"""Which worker runs which files of tests, and in which order."""

import re
from functools import cache
from pathlib import Path

import pytest
from xdist.scheduler import LoadFileScheduling  # type: ignore[import-untyped]

SERVERS = {
    "authorizing Kafka": "authorizing_kafka",
    "secure Kafka": "secure_kafka|authorization_server",
    "creating Kafka": "auto_creating_kafka",
    "OpenSearch": "opensearch",
    "schema registry": r"real_registry|running_registry|\btransport, prefix",
}
"""Servers that run for the whole run of a worker, by what a file that uses one contains.

The start of each takes as long as a hundred tests.
"""
SLOW = (
    "tests/flow/test_sandbox.py",
    "tests/consumer/test_first_starts.py",
    "tests/consumer/replay/test_redrive.py",
    "tests/flow/test_canary.py",
    "tests/flow/test_up.py",
    "tests/flow/test_chaos.py",
    "tests/flow/test_replay_kills.py",
    "tests/consumer/test_redrives.py",
    "tests/producer/test_topic_settings.py",
    "tests/producer/histories/",
    "tests/flow/",
    "tests/consumer/test_",
    "tests/consumer/histories/",
    "tests/producer/polling/",
    "tests/contracts/",
    "tests/cli/",
)
"""Where the files are that take longest, the longest first: one that starts last keeps a worker busy while the others are done."""
WAITING = ("tests/flow/", "tests/consumer/test_", "tests/producer/test_", "tests/cli/", "tests/console/")
"""Where most of a test's time is a wait for another process."""


class ScheduleByServer(LoadFileScheduling):  # type: ignore[misc]
    """Gives the files that need one server to one worker, so that it starts once and not in each worker."""

    def _split_scope(self, nodeid: str) -> str:
        return share_of(nodeid)


def share_of(nodeid: str) -> str:
    """Return the name of the tests that one worker runs: those of a file, or those of all files with one server."""
    return _share_of_file(nodeid.partition("::")[0])


@cache
def _share_of_file(file: str) -> str:
    path = Path(__file__).parents[2] / file
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    return next((server for server, words in SERVERS.items() if re.search(words, text)), file)


def in_order(items: list[pytest.Item]) -> list[pytest.Item]:
    """Return the slow shares first, those that wait among those that compute: neither alone keeps all cores busy.

    The order of the tests of a file, and of the files that are not slow, stays random.
    """
    shares: dict[str, list[pytest.Item]] = {}
    for item in items:
        shares.setdefault(share_of(item.nodeid), []).append(item)
    ranked = sorted(shares, key=lambda share: min(map(_slow_rank, shares[share])))
    waiting = [share for share in ranked if _waits(shares[share])]
    computing = [share for share in ranked if not _waits(shares[share])]
    # What waits ends its turn early: the last files should be short ones.
    places = [(0.8 * at / len(waiting), share) for at, share in enumerate(waiting)]
    places += [(at / len(computing), share) for at, share in enumerate(computing)]
    return [item for _, share in sorted(places) for item in shares[share]]


def _waits(items: list[pytest.Item]) -> bool:
    return any(item.nodeid.startswith(WAITING) for item in items)


def _slow_rank(item: pytest.Item) -> int:
    return next((rank for rank, path in enumerate(SLOW) if item.nodeid.startswith(path)), len(SLOW))
