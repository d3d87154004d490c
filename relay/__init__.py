"""The base of every service: settings, credentials, codecs, Kafka, the schema registry, status and telemetry.

Enters: settings, the environment that an entry point hands in, and records of the relay's topics.
Leaves: encoded records, statuses, metrics and health; each failure for an operator is a RelayError.
It knows neither producer nor consumer, and no source.
"""
