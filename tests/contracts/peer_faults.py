"""Which faults a peer must play: those that its kind's settings, statuses and answers show the kind to have."""

from consumer.config import DestinationSettings
from consumer.destinations.outcome import Partial, Paused, Reject
from relay.config.names import is_secret
from tests.contracts.peer import Absent


def refused(kind, peer):
    """Return what the peer leaves out although its kind has it; a claim would be skipped for no reason."""
    faults = []
    answered = {answer.outcome for answer in peer.answers.values()}
    classified = _outcomes_by_status(kind)
    required = set(classified.values()) | ({Paused} if _has_credential(kind, classified) else set())
    faults += [f"answers has no {each.__name__}" for each in required - answered]
    if isinstance(peer.reject, Absent) and (answered | set(classified.values())) & {Reject, Partial}:
        faults.append("reject is absent, but the kind rejects rows")
    if isinstance(peer.break_credential, Absent) and _has_credential(kind, classified):
        faults.append(
            "break_credential is absent, but the kind has a secret setting or a status for a wrong one"
        )
    return faults


def _outcomes_by_status(kind):
    return {
        status: type(kind.classify_status(status))
        for status in range(200, 600)
        if kind.classify_status is not None
    }


def _has_credential(kind, classified):
    own = kind.config.model_fields.keys() - DestinationSettings.model_fields.keys()
    return classified.get(401) is Paused or any(is_secret(kind.config.model_fields[name]) for name in own)
