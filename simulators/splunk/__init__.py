"""A simulated HTTP Event Collector of Splunk, with and without indexer acknowledgement.

Enters: POST requests with JSON objects one after the other, checked as splunkd checks them: token, channel, size, each event.
Leaves: stored events by index, every call, codes and event numbers, acknowledgements that are given once, and scripted faults.
It imports nothing but its neighbours.
"""
