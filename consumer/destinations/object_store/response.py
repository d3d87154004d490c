"""The answers of directories and stores, as outcomes."""

import errno
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from consumer.destinations.outcome import Outcome, Paused, Retry, Sent
from relay.errors import one_line

if TYPE_CHECKING:  # the catalogue needs this module, and no HTTP client
    from relay.proxies import Proxy

_MAX_QUOTED_CHARS = 300
_STATUS = re.compile(r"returned non-2xx status code: (\d{3})")
_CODE = re.compile(r"<Code>(\w{1,60})</Code>|\"(?:error|code)\":\s*\"(\w{1,60})\"")

_QUERY = re.compile(r"\?\S*")
"""A query may hold a signature."""
_CAUSES = {
    "IncompleteMessage": "the connection was closed before an answer",
    "ConnectionRefused": "connection refused",
    "ConnectionReset": "connection reset",
    "ConnectionAborted": "connection aborted",
    "BrokenPipe": "connection closed",
    "dns error": "the host name was not found",
    "TimedOut": "timed out",
    "InvalidCertificate": "the certificate is not trusted",
    "kind: Timeout": "timed out",
    "ProxyAuthRequired": "the proxy requires another login (407)",
    "TunnelUnsuccessful": "the proxy refuses the connection",
}
"""Why there was no answer, by a word in the debug text of an error. The text itself has the URL, and may have more."""
EMPTY_RANGE = 416
"""Answer to a range of an empty object (RFC 9110, 15.5.17)."""
_NOT_CONNECTED = ("kind: Connect", "ProxyAuthRequired", "TunnelUnsuccessful")
_REFUSED = frozenset({401, 403})
_EXPIRED_CODES = ("ExpiredToken", "InvalidToken", "TokenRefreshRequired")
"""Codes of a 400 by which S3 refuses a temporary credential (AWS, "Error responses")."""
_CLOCK_CODES = ("RequestTimeTooSkewed", "RequestExpired")

_DIRECTORY_FAULTS = {
    errno.ENOENT: "The directory is absent. Mount or create it; the relay does not create it, since an unmounted disk looks the same.",
    errno.EISDIR: "A directory has the name of an object. Move it away.",
    errno.ENOTDIR: "A part of the path is a file. Move it away.",
    errno.EACCES: "The relay may not write there. Give its user the right to create files and directories.",
    errno.EPERM: "The file system refuses hard links, by which objects appear whole. Use another file system, or give the relay's user"
    " the right to link.",
    errno.EOPNOTSUPP: "The file system has no hard links, by which objects appear whole. Use another file system.",
    errno.EMLINK: "The file system has no hard links, by which objects appear whole. Use another file system.",
    errno.EXDEV: "The directory has several file systems. Mount one at the directory of the setting.",
    errno.EROFS: "The file system is read-only. Mount it for writing.",
    errno.ENOSPC: "The file system is full. Delete files, or enlarge it.",
    errno.EDQUOT: "The quota is used up. Delete files, or raise the quota.",
    errno.ENAMETOOLONG: "The path is too long. Choose a shorter directory.",
}


def directory_fault(error: OSError, url: str, name: str) -> Retry | Paused:
    """Return the outcome of a failed call of the file system; an unknown error may pass."""
    remedy = _DIRECTORY_FAULTS.get(error.errno or 0)
    if remedy is None:
        return Retry(f"A call of the file system failed at {url} ({error.strerror or error}).")
    return Paused(f"{url} takes no objects. {remedy} The setting is destinations.{name}.location.")


def fault_status(error: Exception) -> int | None:
    """Return the status of the answer that an error of obstore quotes; None: there was no answer."""
    found = _STATUS.search(str(error))
    if found is not None:
        return int(found[1])
    return 301 if "Received redirect" in str(error) else None


def is_refusal(error: Exception) -> bool:
    """Return whether an error of obstore says that the credential is refused or has expired: it is read again then."""
    status = fault_status(error)
    return status in _REFUSED or (status == 400 and any(code in str(error) for code in _EXPIRED_CODES))


def store_fault(
    error: Exception,
    url: str,
    name: str,
    redact: Callable[[str], str] = str,
    proxy: "Proxy | None" = None,
) -> Retry | Paused:
    """Return the outcome of an error of obstore, by the status within its text: it has no other place for it.

    `proxy`: the one that requests go through; a failed connection is named with it.
    """
    text = redact(str(error))
    said = _said(text)
    if (
        proxy is not None
        and any(word in text for word in _NOT_CONNECTED)
        and "InvalidCertificate" not in text
    ):
        said = f"{said}: {proxy.unreachable}"
    return status_fault(fault_status(error), said, url, name)


def status_fault(status: int | None, said: str, url: str, name: str) -> Retry | Paused:
    """Return the outcome of an answer that is no success. `status` None: there was no answer. An unknown status pauses.

    Sources: AWS "Error responses" and "How to prevent object overwrites"; Azure "Blob service error codes"; Google Cloud Storage
    "HTTP status and error codes". 409 and 412 say that an object exists; here they answer a request that created nothing.
    """
    setting = f"destinations.{name}"
    match status:
        case None | 408 | 409 | 412 | 425 | 429:
            return Retry(f"{url} did not take a request ({said}).", status)
        case _ if status >= 500:
            return Retry(f"{url} did not take a request ({said}).", status)
        case 401 | 403 if any(code in said for code in _CLOCK_CODES):
            return Paused(
                f"{url} refuses the time of the relay's requests ({said}). Correct the clock of the relay's machine.",
                status,
            )
        case 401 | 403 | 400 if status != 400 or any(code in said for code in _EXPIRED_CODES):
            return Paused(
                f"{url} refuses the relay's credential ({said}). Grant it to create, read and list objects, and check"
                f" {setting}.credential_file and the environment; a changed file is read at the next request.",
                status,
            )
        case 404:
            return Paused(
                f"{url} does not exist ({said}). Create the bucket or container, or correct {setting}.location and .endpoint.",
                status,
            )
        case _ if 300 <= status < 400:
            return Paused(f"{url} is elsewhere ({said}). Set {setting}.region or .endpoint.", status)
        case _:
            return Paused(
                f"{url} refuses requests of this form ({said}). Check {setting}.location, .endpoint and .region, and any proxy on the way.",
                status,
            )


def classify_status(status: int) -> Outcome:
    """Return the outcome of an answer that has this status alone, for the runbook."""
    return Sent() if 200 <= status < 300 else status_fault(status, str(status), "The store", "NAME")


def taken_by_another(key: str, why: str, name: str) -> Paused:
    """Return the outcome of a name that an object has which the relay did not write for these rows."""
    return Paused(
        f"The name {key} is taken: {why}. The relay overwrites nothing. Move the object away if another program wrote it; if the"
        f" topic was made anew or mirrored, set destinations.{name}.location to a new prefix."
    )


def no_credential(cause: str, name: str) -> Paused:
    """Return the outcome of a request that could not be made, since the identity gave no token."""
    return Paused(
        f"The identity of destinations.{name}.credential gives no token: {cause.removesuffix('.')}. Check it, and the AZURE_…"
        " variables that it reads."
    )


def name_contended(key: str) -> Retry:
    """Return the outcome of a name that is taken, while no object can be read there."""
    return Retry(
        f"The name {key} is taken, and no object can be read there. Another request may be creating it; if this lasts, move away"
        " what has the name."
    )


def condition_ignored(url: str, name: str) -> Paused:
    """Return the outcome of a store that creates an object which exists."""
    return Paused(
        f"{url} replaced an object that it was asked to create only if absent, so events would be stored twice or lost. Use a store"
        f" that obeys this condition, and set destinations.{name}.location and .endpoint to it."
    )


def _said(text: str) -> str:
    """Return the answer within an error of obstore: status and code, or the failure of the connection; no URL, no body."""
    code = next((found for match in _CODE.finditer(text) for found in match.groups() if found), "")
    line = text.partition("\n")[0]
    said = line.partition(" - ")[2] or _QUERY.sub("", line)
    if "non-2xx" in said:
        said = said.removeprefix("Server returned non-2xx status code: ").partition(": ")[0]
    elif "error sending request" in said:
        cause = next((cause for word, cause in _CAUSES.items() if word in text), None)
        said = said if cause is None else f"{said}: {cause}"
    return one_line(f"{said} {code}".strip(), _MAX_QUOTED_CHARS)
