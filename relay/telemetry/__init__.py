"""Logs, health conditions and the HTTP endpoints of a process.

Enters: log calls, conditions by name, a registry of metrics, the secrets to leave out.
Leaves: log lines on standard error, and /healthz, /readyz and /metrics.
It defines no metric and knows no Kafka.
"""
