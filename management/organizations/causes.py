"""Equal causes of several organizations, as equal texts. Pure."""

import re


def shared_reason(reason: str, name: str, url: str = "", user: str = "") -> str:
    """Return the reason with placeholders for what belongs to one organization, so that equal reasons are equal texts."""
    host = url.partition("://")[2]
    for value, placeholder in ((url, "URL"), (host, "HOST"), (user, "USER"), (name, "NAME")):
        if value:
            reason = re.sub(rf"(?<![\w.-]){re.escape(value)}(?![\w-])", placeholder, reason)
    return reason
