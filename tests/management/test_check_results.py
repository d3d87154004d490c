"""What a check makes of the report of running services and of its own test. Pure."""

import pytest

from consumer.targets.target import Pause
from management.check_results import ShellTest, combine, paused_result
from tests.support.views import NOW, status

PASSED, FAILED, REFUSED = (
    ShellTest("passed", "it answers"),
    ShellTest("failed", "No way."),
    ShellTest("refused", "No key."),
)
GRACE_MS = 300_000


@pytest.mark.parametrize(
    ("report", "test", "state", "words"),
    [
        (None, PASSED, "ok", "it answers (from this shell). No report of producers exists yet."),
        (None, FAILED, "failed", "No way. Tested from this shell. No report of producers exists yet."),
        (
            status(valid_until=NOW - 1),
            PASSED,
            "ok",
            "it answers (from this shell). The producers have not reported since 2026-09-21T14:13:20Z.",
        ),
        (
            status(),
            PASSED,
            "ok",
            "active since 2026-09-21T14:12:20Z, as the producers report. From this shell, the test passed: it answers",
        ),
        (
            status(),
            FAILED,
            "ok",
            "active since 2026-09-21T14:12:20Z, as the producers report. From this shell, the test failed: No way.",
        ),
        (
            status(),
            REFUSED,
            "failed",
            "No key. Until now it was active since 2026-09-21T14:12:20Z, as the producers report.",
        ),
        (
            status("failing", reason="acme: It says no."),
            PASSED,
            "failed",
            "failing since 2026-09-21T14:12:20Z, as the producers report: It says no. From this shell, the test passed: it answers",
        ),
        (
            status("failing", reason="No key."),
            REFUSED,
            "failed",
            "failing since 2026-09-21T14:12:20Z, as the producers report: No key. From this shell, the test gave the same result.",
        ),
        (
            status("paused"),
            FAILED,
            "failed",
            "paused since 2026-09-21T14:12:20Z, as the producers report. From this shell, the test failed: No way.",
        ),
    ],
)
def test_the_report_of_running_services_decides(report, test, state, words):
    """A valid report decides, but for an answer that holds for the services too; without a report the shell's test does."""
    result = combine("organization acme", "producers", report, test, NOW, GRACE_MS)
    assert (result.state, result.message) == (state, words)


@pytest.mark.parametrize(("ago_ms", "state"), [(GRACE_MS, "ok"), (GRACE_MS + 1, "failed")])
def test_a_wait_is_a_failure_after_the_grace(ago_ms, state):
    """A service that waits for its peer has failed once that takes longer than the grace."""
    report = status("waiting", reason="429", since=NOW - ago_ms)
    assert combine("destination x", "consumers", report, PASSED, NOW, GRACE_MS).state == state


def test_the_user_of_the_shell_is_named():
    """The identity of this process is part of its own test."""
    test = ShellTest("failed", "No way.", "root@host")
    assert "Tested from this shell, as root@host." in combine("d x", "consumers", None, test, NOW, 0).message


@pytest.mark.parametrize(("test", "state"), [(PASSED, "ok"), (FAILED, "failed")])
def test_a_pause_by_an_operator_is_no_failure(test, state):
    """It is wanted, as readiness has it; whether the destination would accept events is tested all the same."""
    found = paused_result("destination soc", "soc", Pause(NOW, "ann@host"), test)
    assert found.state == state
    assert test.message in found.message
    assert "ann@host paused it at 2026-" in found.message
    assert "jira-relay destinations resume soc" in found.message
