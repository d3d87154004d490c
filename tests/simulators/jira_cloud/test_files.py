import json

import pytest

from simulators.jira_cloud.files import RecordsFileError, read_records
from tests.support.jira_client import get_page, read_all_ids, running_site

GOOD = {"id": 7, "created": "2026-01-18T08:43:02.838+0000"}


def write_lines(tmp_path, *lines):
    path = tmp_path / "records.jsonl"
    path.write_bytes(
        b"\n".join(line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines)
    )
    return path


async def test_a_file_is_served_byte_for_byte(tmp_path):
    """Records of any order, id, time and field are served unchanged; empty lines and repeats are skipped."""
    records = [
        {**GOOD, "summary": "Überprüft  ", "x": {"y": [1.50, None]}},
        {"id": 2**33, "created": "1999-12-31T23:59:59.999+0000", "changedValues": None},
        {"created": "2126-01-01T00:00:00Z", "id": 3, "id2": 2**70, "s": "\ud800"},
    ]
    lines = [
        b"\xef\xbb\xbf",
        records[1],
        b"  ",
        records[0],
        b'{ "id":3 , "created" : "2026-02-01T00:00:00+01:00" }\r',
    ]
    lines += [records[0], {**records[2], "id": 4}]
    async with running_site() as (site, client):
        assert site.load_records(write_lines(tmp_path, *lines)) == 4
        served = (await get_page(client))["records"]
        assert served == [records[1], records[0], {**records[2], "id": 4}, json.loads(lines[4])]
        assert {one["id"] for one in site.all_records()} == {3, 4, 7, 2**33}
        assert await read_all_ids(client, from_="2026-01-18T08:43:02.838Z", to="2026-02-01T00:00:00Z") == [
            7,
            3,
        ]
        assert site.add_record()["id"] > 2**33


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"{", "line 2: not a JSON object ("),
        (b"[1]", "line 2: not a JSON object"),
        (b"[" * 100_000, "line 2: not a JSON object ("),
        (b'{"id": NaN}', "line 2: not a JSON object (NaN is not JSON)"),
        (b"\xff\xfe", "line 2: not UTF-8"),
        ({"created": GOOD["created"]}, "line 2: id is missing"),
        ({**GOOD, "id": "8"}, 'line 2: id is "8", not a whole number'),
        ({**GOOD, "id": True}, "line 2: id is true"),
        ({**GOOD, "id": 8.0}, "line 2: id is 8.0"),
        ({**GOOD, "id": 2**63}, "line 2: id is 9223372036854775808"),
        ({"id": 8}, "line 2: created is missing"),
        ({"id": 8, "created": 1768725782838}, "line 2: created is 1768725782838, not a time with a zone"),
        ({"id": 8, "created": "2026-01-18T08:43:02.838"}, "line 2: created is"),
        ({"id": 8, "created": "soon"}, 'line 2: created is "soon"'),
        ({**GOOD, "summary": "another"}, "line 2: line 1 already has id 7 with other content"),
        ({"offset": 0, "records": [GOOD]}, "line 2: id is missing"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_invalid_line_is_named(tmp_path, line, words):
    """The error names the file, the line and the reason."""
    path = write_lines(tmp_path, GOOD, line)
    with pytest.raises(RecordsFileError) as error:
        read_records(path)
    assert str(error.value).startswith(f"{path}, {words}")


def test_an_unreadable_file_is_named(tmp_path):
    """The error about a missing file or a directory names the path."""
    for path in (tmp_path / "none.jsonl", tmp_path):
        with pytest.raises(RecordsFileError, match=f"cannot read the records file {path}: "):
            read_records(path)


async def test_records_cannot_be_loaded_twice(tmp_path):
    """A file with an id that the site has is refused, and no record of it is added."""
    async with running_site() as (site, _):
        site.load_records(write_lines(tmp_path, GOOD))
        with pytest.raises(RecordsFileError, match="the site acme already has record 7"):
            site.load_records(write_lines(tmp_path, {**GOOD, "id": 6}, GOOD))
        assert len(site.all_records()) == 1
