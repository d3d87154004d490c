"""Formats: columns of events as rows of bytes.

Enters: a DataFrame with the columns of schemas/audit_event.avsc.
Leaves: polars expressions, and `EncodedRows`: all rows in one buffer.
May not know: Kafka, a destination, settings.
"""
