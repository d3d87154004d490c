import enum
import io

import fastavro
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import schemas
from relay.avro.codec import Encoder, SchemaId
from relay.avro.writer import Unencodable, compile_writer
from tests.support.generated import records

EVERYTHING = {
    "type": "record",
    "name": "relay.Everything",
    "fields": [
        {"name": "nothing", "type": "null"},
        {"name": "flag", "type": "boolean"},
        {"name": "small", "type": "int"},
        {"name": "large", "type": "long"},
        {"name": "text", "type": "string"},
        {"name": "raw", "type": "bytes"},
        {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": [f"k{n}" for n in range(70)]}},
        {
            "name": "part",
            "type": {"type": "record", "name": "Part", "fields": [{"name": "a", "type": "string"}]},
        },
        {"name": "parts", "type": {"type": "array", "items": "Part"}},
        {"name": "kinds", "type": {"type": "array", "items": ["null", "Kind"]}},
        {"name": "grid", "type": {"type": "array", "items": {"type": "array", "items": "long"}}},
        {"name": "maybe", "type": ["null", "Part"]},
        {"name": "later", "type": ["null", {"type": "array", "items": "bytes"}]},
    ],
}
DEFAULTS = {
    "type": "record",
    "name": "Defaults",
    "fields": [
        {"name": "a", "type": "long"},
        {"name": "b", "type": ["null", "string"], "default": None},
        {"name": "c", "type": {"type": "array", "items": "long"}, "default": [1, 2]},
        {"name": "d", "type": "string", "default": "ä"},
        {"name": "e", "type": {"type": "enum", "name": "E", "symbols": ["x", "y"]}, "default": "y"},
        {
            "name": "f",
            "type": {"type": "record", "name": "F", "fields": [{"name": "g", "type": "int", "default": -7}]},
            "default": {},
        },
    ],
}
SCHEMAS = {**{subject: schemas.load(subject) for subject in schemas.SUBJECTS}, "everything": EVERYTHING}


def ours(schema, record):
    return Encoder(schema, SchemaId(1)).encode(record)[5:]


def fastavros(schema, record):
    out = io.BytesIO()
    fastavro.schemaless_writer(out, schema, record)
    return out.getvalue()


@pytest.mark.parametrize("schema", SCHEMAS.values(), ids=SCHEMAS)
@given(data=st.data())
@settings(max_examples=50)
def test_bytes_equal_those_of_fastavro(schema, data):
    record = data.draw(records(schema))
    assert ours(schema, record) == fastavros(schema, record)


@pytest.mark.parametrize("number", [0, -1, 1, 63, 64, -64, -65, 8191, 8192, 2**31, 2**63 - 1, -(2**63)])
def test_integers_of_every_length_equal_those_of_fastavro(number):
    schema = {"type": "record", "name": "A", "fields": [{"name": "a", "type": "long"}]}
    assert ours(schema, {"a": number}) == fastavros(schema, {"a": number})


@pytest.mark.parametrize("length", [0, 1, 63, 64, 127, 128, 8191, 8192])
def test_texts_of_every_length_equal_those_of_fastavro(length):
    schema = {"type": "record", "name": "A", "fields": [{"name": "a", "type": "string"}]}
    assert ours(schema, {"a": length * "x"}) == fastavros(schema, {"a": length * "x"})


@given(st.sets(st.sampled_from("bcdef")))
def test_missing_fields_are_written_as_their_defaults(left_out):
    whole = {"a": 1, "b": None, "c": [1, 2], "d": "ä", "e": "y", "f": {"g": -7}}
    part = {name: value for name, value in whole.items() if name not in left_out}
    assert ours(DEFAULTS, part) == fastavros(DEFAULTS, whole)


class Kind(enum.StrEnum):
    ONE = "k1"


def test_an_enum_member_is_written_as_its_text():
    schema = {"type": "record", "name": "A", "fields": [EVERYTHING["fields"][6], EVERYTHING["fields"][4]]}
    assert ours(schema, {"kind": Kind.ONE, "text": Kind.ONE}) == b"\x02\x04k1"


WHOLE = {
    "nothing": None, "flag": True, "small": 1, "large": 1, "text": "", "raw": b"", "kind": "k0", "part": {"a": ""},
    "parts": [], "kinds": [], "grid": [], "maybe": None, "later": None,
}  # fmt: skip


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("nothing", 0, "Everything.nothing cannot hold"),
        ("flag", 1, "Everything.flag cannot hold"),
        ("small", 2**31, "Everything.small cannot hold"),
        ("small", -(2**31) - 1, "Everything.small cannot hold"),
        ("large", 2**63, "Everything.large cannot hold"),
        ("large", True, "Everything.large cannot hold this value, of Python's type bool"),
        ("large", 1.0, "Everything.large cannot hold this value, of Python's type float"),
        ("large", None, "Everything.large cannot hold null"),
        ("text", b"x", "Everything.text cannot hold"),
        ("text", "a\ud800", "half a character"),
        ("raw", "x", "Everything.raw cannot hold"),
        ("kind", "k70", "Everything.kind cannot hold"),
        ("kind", ["k0"], "Everything.kind cannot hold"),
        ("part", None, "Everything.part cannot hold null"),
        ("part", {}, "Everything.part lacks the field a"),
        ("part", {"a": "", "b": 1, "c": 1}, "Everything.part has no field b, c"),
        ("parts", [{"a": ""}, {"a": 1}], "Everything.parts.a cannot hold"),
        ("parts", "ab", "Everything.parts cannot hold"),
        ("grid", [[1], 2], "Everything.grid cannot hold"),
        ("maybe", [], "Everything.maybe cannot hold"),
    ],
)
def test_a_misfit_is_named_by_its_path(field, value, words):
    with pytest.raises(Unencodable, match=words):
        ours(EVERYTHING, {**WHOLE, field: value})


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ({"a": "x", "b": "\ud800"}, "T.b cannot hold a lone surrogate"),
        ({"a": 1, "b": "x"}, "T.a cannot hold this value"),
        ({"a": "x", "c": "x"}, "T lacks the field b"),
    ],
)
def test_a_misfit_among_texts_that_are_written_together_is_named(record, words):
    """A record with the right number of fields takes the short way, which must not end with an error of Python."""
    fields = [{"name": name, "type": ["null", "string"]} for name in "ab"]
    write = compile_writer({"type": "record", "name": "relay.T", "fields": fields})

    with pytest.raises(Unencodable, match=words):
        write(record, bytearray())


def test_an_unsupported_type_is_rejected_at_once():
    with pytest.raises(NotImplementedError, match=r"A\.b"):
        compile_writer(
            {
                "type": "record",
                "name": "A",
                "fields": [{"name": "b", "type": {"type": "map", "values": "long"}}],
            }
        )
