"""The description of the calls on organizations."""

from console.api.openapi.contract import (
    IF_MATCH,
    IF_NONE_MATCH,
    Operation,
    boolean,
    instant,
    list_of,
    nullable,
    object_of,
    text,
    whole_number,
)

_ORGANIZATION = object_of(
    {
        "name": text("The name of the organization."),
        "url": text("The address of its site."),
        "user": text("The user that reads its audit log."),
        "credential": text("A reference to the API key, `encrypted`, or `none`; never the key itself."),
        "gateway": boolean("Whether the gateway of Atlassian is asked."),
        "interval_seconds": nullable(whole_number("The polling interval. Null: that of the settings.")),
        "state": text("What an operator asked for.", enum=["active", "paused"]),
        "state_in_words": text("The state with its reason."),
        "backfill_from": nullable(instant("Where its history begins. Null: no history is read.")),
        "credential_expires": nullable(instant("When the API key expires. Null: never, or unknown.")),
        "added": instant("When it was added."),
        "modified": instant("When it was changed last."),
        "revision": whole_number("Counts its changes."),
        "status": {
            "type": ["object", "null"],
            "description": "What a producer reported last. Null: none has reported.",
        },
    },
    open_ended=True,
)
_FIELDS = {
    "url": text("The address of the site; that of any of its pages is understood."),
    "user": text("The user that reads the audit log."),
    "api_key": text("The API key. It is encrypted, and never shown again.", writeOnly=True),
    "api_key_ref": text("A reference to an API key, such as `file:acme`, in place of the key."),
    "gateway": boolean("Whether the gateway of Atlassian is asked."),
    "interval_seconds": whole_number("The polling interval; 0: that of the settings.", minimum=0),
    "backfill_days": whole_number("Days of history to read before the day it was added.", minimum=0),
    "key_expires": text("The day on which the API key expires, such as 2026-12-31, or `never`."),
}
_BODY = object_of(
    {
        **{name: nullable(schema) for name, schema in _FIELDS.items()},
        "test": boolean("Whether the connection is tested before anything is stored. Default: true."),
    },
    optional=(*_FIELDS, "test"),
)
_CHANGED = object_of(
    {
        "name": text("The name of the organization."),
        "what": text(
            "What was done: added, modified, resumed, paused, deleted, or unchanged where nothing was to do."
        ),
        "remarks": list_of(text("A sentence for the operator.")),
    }
)
_TESTED = object_of({"name": text("The name of the organization."), "message": text("What the test found.")})
_UNKNOWN = ("unknown-organization", "unreadable-organization")
_CHANGES = (*_UNKNOWN, "stale-edit", "invalid-input")

OPERATIONS = {
    "GET /api/v1/organizations": Operation(
        "List the organizations with their states.", list_of(_ORGANIZATION)
    ),
    "GET /api/v1/organizations/{name}": Operation(
        "Show one organization.", _ORGANIZATION, has_entity_tag=True, problems=_UNKNOWN
    ),
    "PUT /api/v1/organizations/{name}": Operation(
        "Add an organization, or change the fields that the body names; the same call twice changes nothing.",
        _CHANGED,
        (IF_MATCH, IF_NONE_MATCH),
        _BODY,
        creates=True,
        problems=(*_CHANGES, "duplicate-organization", "connection-failed"),
    ),
    "DELETE /api/v1/organizations/{name}": Operation(
        "Delete an organization; its events and its progress stay.", _CHANGED, (IF_MATCH,), problems=_CHANGES
    ),
    "POST /api/v1/organizations/{name}/test": Operation(
        "Test the connection of an organization.",
        _TESTED,
        problems=(*_UNKNOWN, "invalid-input", "connection-failed"),
    ),
    "POST /api/v1/organizations/{name}/pause": Operation(
        "Pause an organization; its progress stays.", _CHANGED, (IF_MATCH,), problems=_CHANGES
    ),
    "POST /api/v1/organizations/{name}/resume": Operation(
        "Resume an organization.", _CHANGED, (IF_MATCH,), problems=_CHANGES
    ),
}
