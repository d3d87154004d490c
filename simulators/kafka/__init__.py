"""A simulated Kafka broker that producers write to: one node, without readers, groups and transactions.

Enters: requests of Kafka's protocol over TCP, checked as a broker checks them: login, topic, right, size, sequence, each record.
Leaves: stored records by topic, error codes that name the records to blame, repeated batches that are stored once, and faults.
It imports nothing but its neighbours. Checksums of batches are not checked.
"""
