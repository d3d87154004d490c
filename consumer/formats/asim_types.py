"""The types of an ASIM audit event, for Jira's verbs and types of objects."""

import re

from consumer.formats.text_cache import cache_short_texts
from consumer.formats.verbs import Verb

_EVENT_TYPES: dict[Verb, str] = {
    "link": "Set",
    "unlink": "Set",
    "create": "Create",
    "delete": "Delete",
    "enable": "Enable",
    "disable": "Disable",
    "read": "Read",
    "change": "Set",
    "other": "Other",
}
"""Allowed values: Set, Read, Create, Delete, Execute, Install, Clear, Enable, Disable, Initialize, Start, Stop, Other (ASIM audit
event schema 0.1.2)."""

_DIRECTORY = frozenset({"USER", "GROUP", "DIRECTORY"})
_POLICY = frozenset({"PERMISSION", "PERMISSIONS", "ROLE", "SCHEME"})
_CONFIGURATION = frozenset(
    {
        *("BOARD", "COMPONENT", "DASHBOARD", "FIELD", "FILTER", "ISSUE", "PRIORITY", "PROJECT", "RESOLUTION"),
        *("SCREEN", "STATUS", "VERSION", "WORKFLOW"),
    }
)
_WORD = re.compile(r"[^\W_]+")


def event_type(verb: Verb) -> str:
    """Return the EventType of a verb."""
    return _EVENT_TYPES[verb]


@cache_short_texts(4096)
def object_type(type_name: str) -> str:
    """Return the ObjectType of Jira's type of an object, by its words: PROJECT_ROLE and "permission scheme" are policies.

    Allowed values: Cloud Resource, Configuration Atom, Policy Rule, Event Log, Scheduled Task, Service, Directory Service Object,
    Other (ASIM audit event schema 0.1.2).
    """
    words = set(_WORD.findall(type_name.upper()))
    if words & _DIRECTORY:
        return "Directory Service Object"
    if words & _POLICY:
        return "Policy Rule"
    return "Configuration Atom" if words & _CONFIGURATION else "Other"
