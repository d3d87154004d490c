import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from relay.condition_log import (
    Condition,
    ConditionEnd,
    ConditionLog,
    ConditionStart,
    ConditionTiming,
    duration_text,
)

HOUR = 3_600.0


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def test_a_start_and_an_end_have_a_line_each():
    """The start is a line, retries are none, and the end names length and attempts."""
    condition = Condition()

    assert [condition.failed("captcha", now) for now in (0, 60, 120)] == [ConditionStart(0, 1, 0), None, None]
    assert condition.ended(180) == ConditionEnd(180, 3)
    assert condition.ended(240) is None


def test_a_lasting_condition_is_reminded_each_hour():
    """While the condition lasts there is one line an hour, however often it is tried."""
    condition = Condition()
    lines = [now for now in range(0, 5 * 3_600, 60) if condition.failed("captcha", now)]

    assert lines == [0, HOUR, 2 * HOUR, 3 * HOUR, 4 * HOUR]


def test_each_kind_of_trouble_has_one_line():
    """A new kind of trouble is a change of state; two kinds in turns have no line for each turn."""
    condition = Condition()
    kinds = ["unavailable", "unavailable", "captcha", "unavailable", "captcha", "unavailable"]

    assert [bool(condition.failed(kind, now)) for now, kind in enumerate(kinds)] == [
        True,
        False,
        True,
        False,
        False,
        False,
    ]


def test_a_flapping_condition_falls_silent():
    """After three starts in an hour, short episodes are counted and not logged, also not their ends."""
    condition = Condition()
    lines = []
    for start in range(0, 600, 60):
        lines += [bool(condition.failed("unavailable", start)), bool(condition.ended(start + 1))]

    assert lines == [True] * 6 + [False] * 14
    assert condition.failed("unavailable", HOUR + 1) == ConditionStart(0, 1, 7)


def test_a_flapping_condition_that_stays_is_logged():
    """An episode that lasts five minutes is logged whatever happened before, with its true start and its end."""
    condition = Condition()
    for start in (0, 10, 20, 30):
        condition.failed("unavailable", start)
        condition.ended(start + 1)

    found = [condition.failed("unavailable", 40 + passed) for passed in range(0, 301, 100)]

    assert found == [None, None, None, ConditionStart(300, 4, 1)]
    assert condition.ended(400) == ConditionEnd(360, 4)


def test_an_abandoned_condition_begins_anew():
    """A condition that nobody reported for an hour has no length: its subject was elsewhere meanwhile."""
    condition = Condition()
    condition.failed("unavailable", 0)

    assert condition.failed("unavailable", HOUR + 1) == ConditionStart(0, 1, 0)


@given(
    st.lists(st.tuples(st.booleans(), st.sampled_from("abc"), st.floats(0, 900)), min_size=1, max_size=200)
)
def test_lines_are_few_and_balanced(steps):
    """Whatever happens, starts and ends alternate, no hour has more than three starts, and no hour of trouble is silent."""
    timing = ConditionTiming()
    condition, now, logged, begins, silent_since = Condition(timing), 0.0, False, [], None
    for fails, kind, pause in steps:
        now += pause
        if not fails:
            assert (condition.ended(now) is not None) == logged
            logged, silent_since = False, None
            continue
        line = condition.failed(kind, now)
        silent_since = now if line or silent_since is None else silent_since
        assert now - silent_since < timing.remind_seconds
        if line and not logged:
            begins.append(now)
            logged = True
    for begin in begins:
        short = [each for each in begins if begin <= each < begin + timing.remind_seconds]
        assert len(short) <= timing.burst + timing.remind_seconds / timing.min_episode_seconds


def test_the_log_names_length_and_attempts():
    """An hour of refusals is a warning, a reminder, and an end that says how long they lasted; retries are at debug."""
    clock = Clock()
    with structlog.testing.capture_logs() as lines:
        conditions = ConditionLog(structlog.get_logger("test"), clock)
        for _ in range(70):
            conditions.failed(
                "acme", "captcha", "Jira wants a CAPTCHA. Log in once.", {"organization": "acme"}
            )
            clock.now += 60
        conditions.ended("acme", "Jira answers again; it had refused", {"organization": "acme"})

    warning = {"log_level": "warning", "event": "Jira wants a CAPTCHA. Log in once.", "organization": "acme"}
    assert [line for line in lines if line["log_level"] != "debug"] == [
        warning,
        warning | {"lasting": "1 h", "attempts": 61},
        {
            "log_level": "info",
            "event": "Jira answers again; it had refused for 1 h 10 min (70 attempts).",
            "organization": "acme",
        },
    ]
    assert len(lines) == 71


def test_a_forgotten_condition_has_no_end():
    """A subject that left this process gets no line of an end."""
    with structlog.testing.capture_logs() as lines:
        conditions = ConditionLog(structlog.get_logger("test"), Clock())
        conditions.failed("acme", "captcha", "Refused.")
        conditions.forget("acme")
        conditions.ended("acme", "Jira answers again; it had refused")

    assert [line["event"] for line in lines] == ["Refused."]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.2, "less than 1 s"),
        (12.4, "12 s"),
        (59.6, "1 min"),
        (14 * 60, "14 min"),
        (HOUR, "1 h"),
        (2 * HOUR + 300, "2 h 5 min"),
        (76 * HOUR, "3 d 4 h"),
        (48 * HOUR, "2 d"),
    ],
)
def test_durations_are_short(seconds, text):
    """A duration has its two largest units."""
    assert duration_text(seconds) == text
