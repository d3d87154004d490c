"""The tables of docs/operations/kafka.md, from the rights that `check` asks for: `python -m tests.docs.kafka_rights`."""

from management.rights import Role, required_rights
from relay.kafka.topics import Topics

_NOUNS = {"topic": "topic", "group": "group", "transactional-id": "transactional id"}


def render_table(role):
    """Return the table of a role, with one row for the resources that need the same operations."""
    resources = {}
    for right in required_rights(role, Topics("P"), ["DESTINATION"]):
        resources.setdefault((right.kind, right.name, right.prefixed), []).append(right.operation)
    rows = {}
    for (kind, name, prefixed), operations in resources.items():
        rows.setdefault((kind, prefixed, tuple(operations)), []).append(f"`{name}`")
    lines = ["| resource | operations |", "| --- | --- |"]
    for (kind, prefixed, operations), names in rows.items():
        plural = "s" if prefixed or len(names) > 1 else ""
        where = "with the prefix " if prefixed else ""
        lines.append(f"| {_NOUNS[kind]}{plural} {where}{', '.join(names)} | {', '.join(operations)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    for role in Role:
        print(f"{role}\n\n{render_table(role)}\n")  # noqa: T201
