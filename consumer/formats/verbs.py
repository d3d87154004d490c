"""The verb of a summary: what was done, as one of a few words that every analytics format has a term for."""

import re
from typing import Literal

from consumer.formats.text_cache import cache_short_texts

Verb = Literal["link", "unlink", "create", "delete", "enable", "disable", "read", "change", "other"]

_WORDS: dict[str, Verb] = {
    **dict.fromkeys(("associated", "assigned"), "link"),
    "unassigned": "unlink",
    **dict.fromkeys(("created", "added", "granted", "copied", "imported"), "create"),
    **dict.fromkeys(("deleted", "removed", "revoked"), "delete"),
    **dict.fromkeys(("enabled", "activated", "turned on"), "enable"),
    **dict.fromkeys(("disabled", "deactivated", "turned off", "archived"), "disable"),
    **dict.fromkeys(("search performed", "viewed", "exported"), "read"),
    **dict.fromkeys(
        ("updated", "changed", "renamed", "edited", "moved", "published", "released", "reset"), "change"
    ),
}
_ANY_WORD = re.compile(rf"\b(?:{'|'.join(sorted(_WORDS, key=len, reverse=True))})\b")
_TO = re.compile(r"\b(?:to|with)\b")
_FROM = re.compile(r"\bfrom\b")


@cache_short_texts(4096)
def verb_of(summary: str) -> Verb:
    """Return the verb of an English summary. The word that comes last decides; `other` if there is none.

    "Customer invited notification changed" is a change. "User added to group" is a link, and "Global permission added" creates.
    """
    # Lower case first: a pattern that ignores case takes letters of other alphabets too, such as a dotless i.
    text = summary.lower()
    words = list(_ANY_WORD.finditer(text))
    if not words:
        return "other"
    word, rest = words[-1][0], text[words[-1].end() :]
    if word in {"added", "copied"} and _TO.search(rest):
        return "link"
    if word == "removed" and _FROM.search(rest):
        return "unlink"
    return _WORDS[word]
