"""Logs, metrics, health conditions and the HTTP endpoints of a process.

Enters: log calls, conditions by name, catalogues of metrics, the secrets to leave out.
Leaves: log lines on standard error, and /healthz, /readyz and /metrics.
It knows no catalogue and no Kafka.
"""
