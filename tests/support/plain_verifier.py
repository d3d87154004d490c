"""A second verifier of exports, written from docs/proof.md alone: it shares no code and no names with the relay's.

`python plain_verifier.py FILE [KEY...]` ends with 0 for a file that keeps the rules, else with 1. It does not name the place.
"""

import base64
import datetime as dt
import hashlib
import json
import string
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

_BROKEN = (ValueError, KeyError, TypeError, IndexError, AttributeError, OverflowError, RecursionError)
Seal = dict[str, Any]
HEX, ZEROS = set(string.digits + "abcdef"), 64 * "0"


def accepts(data: bytes, trusted: set[str] | None = None) -> bool:
    """Return whether the rules of the page hold for a file. `trusted`: the keys that may sign; None: any."""
    try:
        _check(data.decode("ascii"), trusted)
    except (*_BROKEN, InvalidSignature):
        return False
    return True


def _check(text: str, trusted: set[str] | None) -> None:
    _must(text.endswith("\n"))
    header, *rest = (_read(line, trusted) for line in text[:-1].split("\n"))
    first = header[0]
    _must(first["kind"] == "export" and first["format"] == 1 and type(first["exported_at"]) is str)
    _must(all(str(dt.date.fromisoformat(first[name])) == first[name] for name in ("from", "to")))
    counts = [first[name] for name in ("format", "seals", "events")]
    _must(all(type(each) is int for each in (*counts, *(end["last"] for end in first["chains"].values()))))
    seals = [each for each in rest if each[0]["kind"] == "seal"]
    events = [each for each, _ in rest[len(seals) :]]
    _must(rest[: len(seals)] == seals and all(each["kind"] == "event" for each in events))
    _must((len(seals), len(events)) == (first["seals"], first["events"]))
    chains: dict[str, list[tuple[Seal, str]]] = {}
    for seal in seals:
        chain = chains.setdefault(seal[0]["organization"], [])
        _next(chain, *seal)
        chain.append(seal)
    ends = {name: {"last": chain[-1][0]["sequence"], "head": chain[-1][1]} for name, chain in chains.items()}
    _must(ends == first["chains"])
    for event in events:
        of_day = [each for each, _ in chains[event["organization"]] if each["day"] == event["day"]]
        _must(_root(event, of_day[-1]["events"]) == of_day[-1]["root"])


def _must(rule: object) -> None:
    if not rule:
        raise ValueError("a rule of the page does not hold")


def _is_hash(text: object) -> bool:
    return isinstance(text, str) and len(text) == 64 and set(text) <= HEX


def _read(line: str, trusted: set[str] | None) -> tuple[Seal, str]:
    """Return the statement of a line, and the hash of its text (rule 1)."""
    signature, text = line[:128], line[129:]
    _must(line[128] == " " and len(signature) == 128 and set(signature) <= HEX)
    statement = json.loads(text)
    _must(json.dumps(statement, sort_keys=True, separators=(",", ":"), allow_nan=False) == text)
    key = statement["key"]
    _must(_is_hash(key) and (trusted is None or key in trusted))
    public = Ed25519PublicKey.from_public_bytes(base64.b16decode(key.upper()))
    public.verify(base64.b16decode(signature.upper()), text.encode())
    return statement, hashlib.sha256(text.encode()).hexdigest()


def _next(chain: Sequence[tuple[Seal, str]], seal: Seal, _digest: str) -> None:
    """Check the next seal of a chain (rules 2 to 5). Where the file begins within the chain, what is before is not known."""
    numbers = [seal[name] for name in ("format", "sequence", "edition", "days_left_out", "events")]
    _must(all(type(each) is int and each >= 0 for each in numbers) and seal["sequence"] and seal["edition"])
    day = dt.date.fromisoformat(seal["day"])
    _must(seal["format"] == 1 and str(day) == seal["day"])
    _must(type(seal["state"]) is str and type(seal["reason"]) is str)
    _must(all(_is_hash(seal[name]) for name in ("root", "previous", "replaces")))
    of_day = [each for each in chain if each[0]["day"] == seal["day"]]
    is_first = seal["edition"] == 1
    _must(not is_first or (seal["replaces"] == ZEROS and not of_day))
    if not chain:
        _must((seal["sequence"] == 1) == (seal["previous"] == ZEROS) and (is_first or seal["sequence"] > 1))
        return
    before, digest = chain[-1]
    _must(seal["sequence"] == before["sequence"] + 1 and seal["previous"] == digest)
    if is_first:
        earlier = [each for each in (dt.date.fromisoformat(one["day"]) for one, _ in chain) if each < day]
        began, left_out = chain[0][0], dt.timedelta(days=1 + seal["days_left_out"])
        if earlier:
            _must(day == max(earlier) + left_out)
        else:  # the day before it may have its seal before this file
            is_cut = began["sequence"] > 1 and day < dt.date.fromisoformat(began["day"])
            _must(is_cut or not seal["days_left_out"])
    elif of_day:
        _must(seal["edition"] == of_day[-1][0]["edition"] + 1 and seal["replaces"] == of_day[-1][1])
    else:
        began = chain[0][0]
        _must(began["sequence"] > 1 and day < dt.date.fromisoformat(began["day"]))


def _root(event: Seal, size: int) -> str:
    """Return the root that an inclusion proof leads to, by the definition of the tree (RFC 6962, 2.1)."""
    _must(type(event["path"]) is list and all(_is_hash(each) for each in (event["content"], *event["path"])))
    _must(type(event["id"]) is int and type(event["index"]) is int and 0 <= event["index"] < size)
    content, path = bytes.fromhex(event["content"]), [bytes.fromhex(each) for each in event["path"]]
    leaf = hashlib.sha256(b"\0" + event["id"].to_bytes(8, "big") + content).digest()

    def climb(index: int, count: int, left: list[bytes]) -> bytes:
        if count == 1:
            _must(not left)
            return leaf
        split = 1 << (count - 1).bit_length() - 1
        if index < split:
            return hashlib.sha256(b"\1" + climb(index, split, left[:-1]) + left[-1]).digest()
        return hashlib.sha256(b"\1" + left[-1] + climb(index - split, count - split, left[:-1])).digest()

    return climb(event["index"], size, path).hex()


if __name__ == "__main__":
    sys.exit(not accepts(Path(sys.argv[1]).read_bytes(), set(sys.argv[2:]) or None))
