"""Simulated backend of OTLP: the logs of OpenTelemetry by HTTP.

Enters: POST requests in protobuf or JSON, checked as a strict backend checks them.
Leaves: stored log records by endpoint, partial successes, and answers after a script of faults.
It imports nothing but its neighbours.
"""
