"""The privacy rules of a destination: columns that are dropped, hashed or masked before any format sees them."""

import hmac
import ipaddress
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import polars as pl

from consumer.formats.filter import nearest
from consumer.formats.replay_mark import REPLAY_ID
from consumer.formats.text_cache import cache_short_texts

Rule = Literal["drop", "hash", "mask"]

HASH_DIGITS = 24
"""Hexadecimal digits of a pseudonym: 96 bits, so two of a billion texts are equal with a chance of 1 in 10^11."""

MIN_KEY_CHARS = 32

REMEMBERED_TEXTS = 20_000
"""People and addresses whose replacement is remembered, for each rule: some megabytes."""

_IDENTITY = frozenset({"organization", "id", "created", "collected", "mode", "variant"})
"""Columns that identify and date an event. Without them, repeats could not be found."""
_ADDRESSES = frozenset({"remoteAddress"})
_PERSON_FIELDS: Mapping[str, str] = {"names": "name", "ids": "id"}
"""Rules for people within objectItem and associatedItems: the field that they hide."""
_PERSON_COLUMNS = ("objectItem", "associatedItems")


class PrivacyError(ValueError):
    """The rules cannot be applied; the message has the cause, and ends with the correction."""


Replace = Callable[[str], str | None]
"""Return what is shown instead of a text; None: nothing. Pure, and remembered for the texts of the last events."""


@dataclass(frozen=True, slots=True)
class Privacy:
    """Rules by column, or by `names` and `ids` for people within lists."""

    rules: Mapping[str, Rule]
    pseudonym: Replace
    mask: Replace

    def hide(self, events: pl.DataFrame) -> pl.DataFrame:
        """Return the events with the same columns, types and order, and the values that the rules leave. Pure."""
        columns = {name: rule for name, rule in self.rules.items() if name not in _PERSON_FIELDS}
        people = {_PERSON_FIELDS[name]: rule for name, rule in self.rules.items() if name in _PERSON_FIELDS}
        hidden = {name: self._hidden_column(events[name], rule) for name, rule in columns.items()}
        if people:
            for name in _PERSON_COLUMNS:
                if name not in columns:
                    hidden[name] = self._hidden_people(events[name], people)
        return events.with_columns(column.alias(name) for name, column in hidden.items())

    def _hidden_column(self, values: pl.Series, rule: Rule) -> pl.Series:
        match rule:
            case "drop":
                return pl.Series(values.name, [None], dtype=values.dtype).new_from_index(0, len(values))
            case "hash":
                return _replaced(values, self.pseudonym)
            case _:  # mask
                return _replaced(values, self.mask)

    def _hidden_people(self, items: pl.Series, people: Mapping[str, Rule]) -> pl.Series:
        """Hide fields of the items that are people, in a column of items or of lists of items."""
        if not isinstance(items.dtype, pl.List):
            return self._hidden_items(items, people)
        hidden = pl.element().map_batches(
            lambda flat: self._hidden_items(flat, people), items.dtype.inner, is_elementwise=True
        )
        return items.to_frame().select(pl.col(items.name).list.eval(hidden)).to_series()

    def _hidden_items(self, items: pl.Series, people: Mapping[str, Rule]) -> pl.Series:
        """Hide fields of the items that are people. In batches of some hundred events, expressions cost more than these lists."""
        fields = items.struct.unnest()
        persons = list(map(_is_person, fields["typeName"].to_list()))
        for field, rule in people.items():
            replace = _nothing if rule == "drop" else self.pseudonym
            texts = [
                replace(text) if person and text is not None else text
                for person, text in zip(persons, fields[field].to_list(), strict=True)
            ]
            fields.replace_column(fields.get_column_index(field), pl.Series(field, texts, pl.String))
        hidden = fields.to_struct(items.name)
        return hidden if not items.null_count() else hidden.zip_with(items.is_not_null(), items)


def compile_privacy(rules: Mapping[str, Rule], key: str | None, event_columns: pl.Schema) -> Privacy:
    """Check the rules against the columns of an event. `key` None: there is none.

    Raises PrivacyError for an unknown column, a rule that the column does not allow, and the rule hash without a long key.
    """
    for name, rule in rules.items():
        _check_rule(name, rule, event_columns)
    if "hash" in rules.values():
        if key is None:
            raise PrivacyError("has the rule hash, which needs a secret key: set hide_key or hide_key_file")
        if len(key) < MIN_KEY_CHARS:
            raise PrivacyError(
                f"has the rule hash, and hide_key has {len(key)} characters: use at least {MIN_KEY_CHARS}, since a short key"
                " can be guessed"
            )
    pseudonym = partial(make_pseudonym, (key or "").encode())
    remember = cache_short_texts(REMEMBERED_TEXTS)
    return Privacy(rules, remember(pseudonym), remember(mask_address))


def make_pseudonym(key: bytes, text: str) -> str:
    return hmac.digest(key, text.encode(), "sha256").hex()[:HASH_DIGITS]


def mask_address(text: str) -> str | None:
    """Return the network of an IP address: /24 of IPv4, /48 of IPv6. None: the text is no address, and may be anything."""
    try:
        address: ipaddress.IPv4Address | ipaddress.IPv6Address = ipaddress.ip_address(text.strip())
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address):
        without_zone = ipaddress.IPv6Address(int(address))  # of fe80::1%eth0
        address = address.ipv4_mapped or without_zone
    prefix = 24 if address.version == 4 else 48
    return str(ipaddress.ip_network((address, prefix), strict=False).network_address)


def _check_rule(name: str, rule: Rule, event_columns: pl.Schema) -> None:
    candidates = [each for each in (*event_columns, *_PERSON_FIELDS) if each not in _IDENTITY]
    if name in _IDENTITY:
        raise PrivacyError(f"hides {name}, which identifies or dates the event: remove it")
    if name == REPLAY_ID:
        raise PrivacyError(f"hides {name}, which tells the rows of a replay from others: remove it")
    if name not in candidates:
        raise PrivacyError(f"has an unknown column {name}: {nearest(name, candidates)}")
    allowed = _allowed_rules(name, event_columns)
    if rule not in allowed:
        raise PrivacyError(f"has the rule {rule} for {name}: use {' or '.join(allowed)}")


def _allowed_rules(name: str, event_columns: pl.Schema) -> Sequence[str]:
    if name in _ADDRESSES:
        return ("drop", "hash", "mask")
    return ("drop", "hash") if name in _PERSON_FIELDS or event_columns[name] == pl.String else ("drop",)


def _is_person(type_name: str | None) -> bool:
    """Return whether an item is, or may be, a person: its type is USER, or it has none."""
    return not type_name or type_name.upper() == "USER"


def _nothing(_text: str) -> None:
    """Show nothing."""


def _replaced(values: pl.Series, replace: Replace) -> pl.Series:
    """Replace each text. In batches of some hundred events polars' own replacement costs more than this."""
    texts = values.to_list()
    return pl.Series(values.name, [None if text is None else replace(text) for text in texts], pl.String)
