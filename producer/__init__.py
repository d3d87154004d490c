"""Source APIs to Kafka.

Enters: organizations, from their topic, and audit records, from their APIs. Leaves: events, dead letters and progress, in
one transaction each, and status. May not know consumers, destinations, or the command line.
Floors, from the top: service; polling; recovery, sharding, status_reporter; publishing; sources; state; metrics, events.
"""
