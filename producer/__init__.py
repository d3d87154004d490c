"""Source APIs to Kafka.

Enters: organizations, from their topic, and audit records, from their APIs. Leaves: events, dead letters and progress, in
one transaction each, and status. May not know consumers, destinations, or the command line.
Its layers are in CONTRIBUTING.md, and an import contract holds them.
"""
