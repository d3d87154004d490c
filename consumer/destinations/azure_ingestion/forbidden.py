"""The causes of a 403 of the Logs Ingestion API, each with its own remedy."""

import re

_IDENTITY = re.compile(r"objectId ([0-9a-f-]{36})", re.IGNORECASE)
_FLAG = re.compile(r"(IsRbacPresent|IsDcrDceBindingValid): (True|False)", re.IGNORECASE)
_NETWORK = re.compile(
    r"private ?link|private endpoint|AMPLS|public ?network|network ?(access|security|perimeter)|firewall|IP address",
    re.IGNORECASE,
)
_BINDING = re.compile(
    r"endpoint\b.{0,80}\bnot (linked|bound|associated)|not (linked|bound|associated)\b.{0,80}\bendpoint",
    re.IGNORECASE | re.DOTALL,
)
_ACCESS = re.compile(r"does not have access|authorization action|not authorized", re.IGNORECASE)


def explain_forbidden(message: str, description: str, rule_id: str, *, from_azure: bool) -> str:
    """Return what a 403 means and what to do. Azure's `message` may be empty; `description` quotes the whole answer.

    Source of the flags: the PipelineAccessResult in the message of the Logs Ingestion API.
    """
    flags = {name.lower(): value.lower() == "true" for name, value in _FLAG.findall(message)}
    if not from_azure:
        return (
            f"A server on the way to Azure denies the requests ({description}). Let the proxy or firewall pass them to the"
            " endpoint, or name another proxy in HTTPS_PROXY or the endpoint in NO_PROXY."
        )
    if flags.get("isdcrdcebindingvalid") is False or _BINDING.search(message):
        return (
            f"The rule {rule_id} does not belong to the endpoint ({description}). Set the endpoint to the rule's own logs ingestion"
            " endpoint, or select the data collection endpoint in the rule."
        )
    if _NETWORK.search(message):
        return (
            f"The endpoint of the rule {rule_id} does not accept requests from this network ({description}). Send through the"
            " private link of the data collection endpoint, or allow public network access there."
        )
    if flags.get("isrbacpresent") is True:
        return (
            f"Azure sees a role of the relay's identity on the rule {rule_id}, but denies access still ({description}). A new role"
            " takes effect within 30 minutes; if this lasts, check that the endpoint belongs to the rule."
        )
    if flags or _ACCESS.search(message):
        identity = _IDENTITY.search(message)
        who = f"The relay's identity (object id {identity[1]})" if identity else "The relay's identity"
        return (
            f"{who} may not send to the rule {rule_id} ({description}). Give it the role Monitoring Metrics"
            " Publisher on the data collection rule; the role takes effect within 30 minutes."
        )
    return (
        f"Azure denies the requests to the rule {rule_id} ({description}). Check the relay's role on the rule (Monitoring Metrics"
        " Publisher), the network access of the endpoint, and that it belongs to the rule."
    )
