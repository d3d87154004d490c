"""The contract suite of destinations: each function proves one claim about a kind, against its simulator.

`test_destinations.py` runs all of them for each kind of the catalogue.
"""

from tests.contracts import destination_delivery, destination_replay, destination_requests
from tests.contracts.destination_case import NEVER_LATE_SECONDS

CLAIMS = (*destination_requests.CLAIMS, *destination_replay.CLAIMS, *destination_delivery.CLAIMS)

_ABOUT_TIME = (
    destination_requests.each_answer_has_an_outcome,
    destination_requests.the_limits_agree,
    destination_requests.a_probe_sees_a_wrong_credential,
    destination_delivery.a_wrong_credential_pauses_and_its_repair_is_noticed,
    destination_delivery.a_stop_ends_within_its_time,
)


def seconds_for(claim):
    """Return how long a request may take in a claim. None: as long as in the product, since the claim waits for that end."""
    return None if claim in _ABOUT_TIME else NEVER_LATE_SECONDS
