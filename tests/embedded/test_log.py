import pytest

from embedded import log


def test_a_rotation_keeps_one_former_log(tmp_path):
    path = tmp_path / "kafka.log"
    for content in ("first", "second"):
        path.write_text(content)
        log.rotate(path)
    assert not path.exists()
    assert (tmp_path / "kafka.log.1").read_text() == "second"


def test_a_log_that_grows_too_large_is_emptied_under_its_writer(tmp_path):
    path = tmp_path / "kafka.log"
    with path.open("ab", buffering=0) as writer:
        writer.write(b"x" * 1001)
        log.limit_size(path, 1000)
        writer.write(b"on")
    assert path.read_bytes() == b"on"
    assert (tmp_path / "kafka.log.1").read_bytes() == b"x" * 1001


def test_a_log_within_its_bound_is_unchanged(tmp_path):
    path = tmp_path / "kafka.log"
    path.write_bytes(b"x" * 1000)
    log.limit_size(path, 1000)
    assert path.read_bytes() == b"x" * 1000


@pytest.mark.parametrize(
    ("text", "code", "full", "expected"),
    [
        ("java.io.IOException: No space left on device", 1, False, "the disk is full"),
        ("", 1, True, "the disk is full"),
        ("java.io.IOException: Disk quota exceeded", 1, False, "the disk quota"),
        ("java.io.IOException: File too large", 1, False, "ulimit -f"),
        ("java.net.BindException: Address already in use", 1, False, "another program uses its port"),
        ("anything", -9, False, "it was killed"),
        ("", 1, False, "see its log for the reason"),
    ],
)
def test_a_known_cause_is_explained(text, code, full, expected):
    assert expected in log.cause(text, code, full=full)


def test_the_last_lines_are_shown_without_stack_frames(tmp_path):
    (tmp_path / "kafka.log").write_text("one\n\tat java.lang.Thread\n\ntwo\n")
    assert log.explain(tmp_path / "kafka.log", 1).splitlines()[1:] == ["  one", "  two"]
