"""The reason why Kafka does not accept a connection, and the remedy.

Enters: the settings of a connection, and aiokafka's connection options.
Leaves: one sentence for each cause, without a secret, and log lines of the monitor.
It reads and writes no topic.
"""
