"""Whether the audit log, Kafka and each destination have the same events of a day, and the signed seals that say so.

Enters: the audit log listed again, the ledgers, the event topics, the offsets and dead letters of destinations.
Leaves: the account of each day, seals on the topic `….seals`, and files that an auditor verifies without the relay.
`verifier` imports nothing of the relay. The pure modules know no Kafka.
"""
