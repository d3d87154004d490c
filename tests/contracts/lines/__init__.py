"""An invented source, to show what a new one costs: audit records in a file of JSON lines, with ids that are text.

It follows docs/development/new-source.md step by step, passes the contract suite, and is polled by the real poller.
"""
