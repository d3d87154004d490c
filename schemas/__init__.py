"""The Avro schemas of all topics: the current schema of each subject, and every released version.

Enters: the name of a subject.
Leaves: schemas as parsed JSON.
It imports nothing of the relay.
"""

import json
from importlib.resources import files
from typing import Any

Schema = dict[str, Any]

SUBJECTS = (
    "audit_event",
    "organization",
    "checkpoint",
    "day_ledger",
    "status",
    "change",
    "destination",
    "destination_state",
    "destination_loss",
    "replay",
    "replay_progress",
    "refill_progress",
    "day_seal",
)


def load(subject: str) -> Schema:
    """Return the current schema of a subject, as parsed JSON."""
    return _parse(files(__name__).joinpath(f"{subject}.avsc").read_text("utf-8"))


def released(subject: str) -> list[Schema]:
    """Return every released version of a subject, oldest first."""
    folder = files(__name__).joinpath("released", subject)
    names = sorted((entry.name for entry in folder.iterdir()), key=lambda name: int(name.split(".")[0]))
    return [_parse(folder.joinpath(name).read_text("utf-8")) for name in names]


def _parse(text: str) -> Schema:
    schema: Schema = json.loads(text)
    return schema
