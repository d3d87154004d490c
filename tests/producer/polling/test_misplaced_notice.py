"""Which misplaced records a status names."""

from producer.polling.misplaced_notice import MisplacedNotice
from producer.sources.window_result import WindowResult
from producer.state.intervals import TimeRange


def result(*misplaced):
    window = TimeRange(0, 9)
    events = tuple({"id": number, "created": number * 10} for number in misplaced)
    return WindowResult(window, window, (), (), 0, 0, proven=True, misplaced=events)


def test_a_record_is_named_until_it_was_not_shown_for_a_while():
    """A record is new once, unless it comes back after it was forgotten."""
    notice = MisplacedNotice(kept_ms=100)
    assert notice.add(result(2, 1), now=0) == [1, 2]
    assert notice.add(result(2), now=60) == []
    assert notice.add(result(), now=100) == []
    assert notice.records == {1: 10, 2: 20}
    assert notice.add(result(), now=101) == []
    assert notice.records == {2: 20}
    assert notice.add(result(1), now=161) == [1]
    assert notice.records == {1: 10}
