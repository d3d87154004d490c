"""One folder for each API that audit records are read from.

Enters: a window of time, and the organization's URL and key. Leaves: events and unreadable records, in results for parts
of the window, or a SourceError with its kind and action. A source may not know Kafka, checkpoints or ledgers, but for their largest id. The contract is
in `contract.py`; `catalogue.py` lists the sources, one line each. Shared by all: `errors.py`, `throttle.py`,
`clock_skew.py`, `window_result.py`. A 429: `jira_cloud/response.py` classifies it, `throttle.py` waits.
"""
