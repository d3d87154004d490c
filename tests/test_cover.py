from tests.cover import pure_parts, shortfalls


def measured(**files):
    return {
        "files": {
            name.replace("_", "/") + ".py": {"missing_lines": lines, "missing_branches": branches}
            for name, (lines, branches) in files.items()
        }
    }


def test_a_pure_part_that_is_covered_whole_passes():
    """Only the files that a pattern matches count."""
    report = measured(state_ledger=([], []), service=([1, 2], [[3, 4]]))

    assert list(shortfalls(report, ["state/*.py"])) == []


def test_a_missing_line_and_a_missing_branch_are_named():
    """One line or one branch that no test reaches is enough."""
    report = measured(state_ledger=([7], []), state_shard=([], [[3, 4]]))

    assert list(shortfalls(report, ["state/*.py"])) == [
        "state/ledger.py: lines [7], branches [] are not covered",
        "state/shard.py: lines [], branches ['3 to 4'] are not covered",
    ]


def test_a_pattern_of_no_file_is_named():
    """A renamed file does not leave the list unnoticed."""
    assert list(shortfalls(measured(service=([], [])), ["state/*.py"])) == [
        "state/*.py: no such file was measured"
    ]


def test_the_list_of_pure_parts_is_read():
    """pyproject.toml names them by path."""
    assert "producer/polling/window.py" in pure_parts()
