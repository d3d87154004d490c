"""How the audit log of an organization is found, for those who list it."""

from collections.abc import Callable

from producer.sources.contract import Source
from relay.organizations import Organization

SourceOf = Callable[[str], Source | None]
"""Maps an organization to its audit log. None: it is not asked."""
AuditLogs = Callable[[Organization], Source]
"""Opens the audit log of an organization."""
