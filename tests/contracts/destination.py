"""The contract suite of destinations: each function proves one claim about a kind, against its simulator.

`test_destinations.py` runs all of them for each kind of the catalogue.
"""

from tests.contracts import destination_delivery, destination_replay, destination_requests

CLAIMS = (*destination_requests.CLAIMS, *destination_replay.CLAIMS, *destination_delivery.CLAIMS)
