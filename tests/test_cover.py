from tests.cover import ROOT, pure_parts, shortfalls


def measured(**files):
    return {
        "files": {
            name.replace("_", "/") + ".py": {"missing_lines": lines, "missing_branches": branches}
            for name, (lines, branches) in files.items()
        }
    }


def test_a_fully_covered_pure_part_passes():
    """Gaps count only in files that a pattern matches."""
    report = measured(state_ledger=([], []), service=([1, 2], [[3, 4]]))

    assert list(shortfalls(report, ["state/*.py"])) == []


def test_a_missing_line_and_a_missing_branch_are_named():
    """A line or a branch that no test reaches is a gap."""
    report = measured(state_ledger=([7], []), state_shard=([], [[3, 4]]))

    assert list(shortfalls(report, ["state/*.py"])) == [
        "state/ledger.py: lines [7], branches [] are not covered",
        "state/shard.py: lines [], branches ['3 to 4'] are not covered",
    ]


def test_a_pattern_without_a_file_is_named():
    """A pattern that matches no measured file is a gap, so that a renamed file is noticed."""
    assert list(shortfalls(measured(service=([], [])), ["state/*.py"])) == [
        "state/*.py: no such file was measured"
    ]


def test_the_list_of_pure_parts_is_read():
    """The patterns come from pyproject.toml."""
    assert "producer/polling/window.py" in pure_parts()


def test_every_pure_part_exists():
    """A moved file keeps its claim to full coverage."""
    assert [pattern for pattern in pure_parts() if not list(ROOT.glob(pattern))] == []
