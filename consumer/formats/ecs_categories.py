"""Categories and types of the Elastic Common Schema for audit records of Jira, by category and summary."""

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from consumer.formats.text_cache import MAX_CACHED_CHARS
from consumer.formats.verbs import Verb, verb_of

Subject = Literal["none", "user", "member", "group", "any"]
"""Which objects of a record are the target: a user, a user and a group, a group, or those that the record has."""

USER_MANAGEMENT, GROUP_MANAGEMENT = "user management", "group management"

_TEN: dict[str, tuple[tuple[str, ...], tuple[str, ...], Subject]] = {
    "User created": (("iam",), ("user", "creation"), "user"),
    "User updated": (("iam",), ("user", "change"), "none"),
    "User deleted": (("iam",), ("user", "deletion"), "user"),
    "User added to group": (("iam",), ("group", "change"), "member"),
    "User removed from group": (("iam",), ("group", "change"), "member"),
    "Group created": (("iam",), ("group", "creation"), "group"),
    "Group deleted": (("iam",), ("group", "deletion"), "group"),
    "Global permission added": (("iam", "configuration"), ("admin", "creation"), "none"),
    "Global permission removed": (("iam", "configuration"), ("admin", "deletion"), "none"),
    "Project created": (("configuration",), ("creation",), "none"),
}
"""The summaries that Elastic's own integration knows (elastic/integrations, packages/atlassian_jira, default.yml)."""

_TYPE_OF_VERB: dict[Verb, str] = {
    "link": "change",
    "unlink": "change",
    "create": "creation",
    "delete": "deletion",
    "enable": "change",
    "disable": "change",
    "change": "change",
    "read": "info",
    "other": "info",
}
_IAM: dict[str | None, tuple[tuple[str, ...], str]] = {
    USER_MANAGEMENT: (("iam",), "user"),
    GROUP_MANAGEMENT: (("iam",), "group"),
    "permissions": (("iam", "configuration"), "admin"),
}


@dataclass(frozen=True, slots=True)
class Classification:
    """What the summary and the category of a record say. `subject` is "none" outside user and group management."""

    categories: tuple[str, ...]
    types: tuple[str, ...]
    verb: Verb
    subject: Subject

    @property
    def json_members(self) -> str:
        """The members `category` and `type` of `event`, as JSON text; without a category `type` alone."""
        types = f'"type":{json.dumps(self.types)}'
        return f'"category":{json.dumps(self.categories)},{types}' if self.categories else types


def classify(category: str | None, summary: str | None) -> Classification:
    """Classify as Elastic's integration does where it knows the summary, and by Jira's category and the verb elsewhere.

    Long texts are not remembered: thousands of them would fill the memory.
    Allowed types of a category: ECS 8.11, `event.type`; "access" is one of configuration, and none of iam.
    """
    short = len(category or "") + len(summary or "") <= MAX_CACHED_CHARS
    return _remembered(category, summary) if short else _classify(category, summary)


def _classify(category: str | None, summary: str | None) -> Classification:
    verb = verb_of(summary or "")
    managed = category in {USER_MANAGEMENT, GROUP_MANAGEMENT}
    if summary in _TEN:
        categories, types, subject = _TEN[summary]
        return Classification(categories, types, verb, subject if managed else "none")
    if verb == "other" and category not in _IAM:
        return Classification((), ("info",), verb, "none")
    if category in _IAM:
        categories, kind = _IAM[category]
        return Classification(categories, (kind, _TYPE_OF_VERB[verb]), verb, "any" if managed else "none")
    return Classification(
        ("configuration",), ("access" if verb == "read" else _TYPE_OF_VERB[verb],), verb, "none"
    )


_remembered = lru_cache(maxsize=4096)(_classify)
