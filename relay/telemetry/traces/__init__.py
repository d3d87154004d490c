"""Traces of events by OpenTelemetry: from the poll of a source to the acceptance by a destination.

Enters: spans that producer and consumer record, and the settings `telemetry.traces_…`.
Leaves: requests to a collector by OTLP, and counters of exported and dropped spans.
A trace never holds up an event, and holds no secret, no personal data and no text of an answer.
"""
