"""The parts of dead letters, joined again."""

import gzip
import random

import pytest

from relay.dead_letters.assembly import MAX_INTERLEAVED, LetterAssembler
from relay.dead_letters.letter import mark_record, parse_letter
from tests.support.dead_letters import AT, StoredRecord, letter_record


def assemble(records, **bounds):
    assembler = LetterAssembler(**bounds)
    return [each for record in records for each in assembler.add(record)], assembler.finish()


def parts(name, offsets, **fields):
    count = len(offsets)
    return [
        letter_record(offset, f"{name}{number}".encode(), part=f"{number}/{count}", **fields)
        for number, offset in enumerate(offsets, 1)
    ]


def test_letters_come_with_their_last_parts():
    """A letter of three parts among others is returned behind those that were whole before, with all its offsets."""
    records = sorted(
        [*parts("a", [3, 6, 9], reason="a"), letter_record(4, b"x"), letter_record(10, b"y")],
        key=lambda one: one.offset,
    )
    whole, rest = assemble(records)

    assert [(each.stored, each.offsets) for each in whole] == [
        (b"x", (4,)),
        (b"a1a2a3", (3, 6, 9)),
        (b"y", (10,)),
    ]
    assert whole[1].letter.address == "1/3"
    assert rest == []


def test_the_parts_of_letters_are_never_mixed():
    """Any interleaving of letters gives each its own bytes, though all have one key, moment and reason."""
    rng = random.Random(7)
    for _ in range(200):
        sizes = {name: rng.randint(1, 5) for name in "abcd"}
        order = [name for name, size in sizes.items() for _ in range(size)]
        rng.shuffle(order)
        seen = dict.fromkeys("abcd", 0)
        records = []
        for offset, name in enumerate(order):
            seen[name] += 1
            part = None if sizes[name] == 1 else f"{seen[name]}/{sizes[name]}"
            headers = {"topic": "p.events", "part": part, "flow": name}
            records.append(letter_record(offset, f"{name}{seen[name]}".encode(), **headers))
        whole, rest = assemble(records)
        assert sorted(each.stored for each in whole) == [
            "".join(f"{name}{number + 1}" for number in range(sizes[name])).encode() for name in "abcd"
        ]
        assert rest == []


def test_what_is_missing_is_named():
    """A letter whose first part is gone, and one without its end, are returned with what there is."""
    whole, rest = assemble(
        [letter_record(3, b"b", part="2/2"), letter_record(4, b"a", part="1/3", reason="other")]
    )
    assert [(each.stored, each.missing) for each in whole] == [(b"b", "Only 1 of its 2 parts were found.")]
    assert [(each.stored, each.missing) for each in rest] == [(b"a", "Only 1 of its 3 parts were found.")]


def test_an_incomplete_letter_is_given_up():
    """One that covers too many offsets, or too much memory, is returned incomplete, so that memory is bounded."""
    start = letter_record(0, b"a", part="1/2")
    last_possible = letter_record(MAX_INTERLEAVED + 2, b"x", reason="other")
    too_late = letter_record(MAX_INTERLEAVED + 3, b"y", reason="other")
    whole, rest = assemble([start, last_possible, too_late])
    assert [(each.stored, each.missing is None) for each in whole] == [
        (b"x", True),
        (b"a", False),
        (b"y", True),
    ]

    large = [letter_record(offset, b"12345678", part="1/2", reason=str(offset)) for offset in range(4)]
    whole, rest = assemble(large, max_pending_bytes=10)
    assert [each.offsets for each in whole] == [(0,), (1,)]
    assert [each.offsets for each in rest] == [(2,), (3,)]


def test_marks_are_no_letters():
    """A mark between two parts divides nothing, and is left out."""
    letter = parse_letter(letter_record(1))
    mark = mark_record("t", letter, b"acme", "job", AT)
    stored = StoredRecord(1, 4, mark.key, mark.value, tuple(mark.headers))
    first, second = parts("a", [3, 5])
    whole, _ = assemble([first, stored, second])
    assert [each.stored for each in whole] == [b"a1a2"]


@pytest.mark.parametrize(
    ("value", "content", "words"),
    [
        (gzip.compress(b"text", mtime=0), b"text", None),
        (gzip.compress(b"text", mtime=0)[:-9], b"", "incomplete"),
        (b"no gzip", b"no gzip", "cannot be decompressed"),
    ],
)
def test_compressed_content(value, content, words):
    """A compressed letter is decompressed; where that fails, the remark says so."""
    (whole,), _ = assemble([letter_record(1, value, encoding="gzip")])
    found, remark = whole.content()
    assert found.startswith(content)
    assert (words in remark) if words else remark is None
