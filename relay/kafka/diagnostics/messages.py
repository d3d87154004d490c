"""The meaning of a failed step of a connection, and the remedy.
If several causes are possible, probe again to tell them apart.
"""

import datetime as dt
import errno
import os
import re
import socket
import ssl
from pathlib import Path

from aiokafka.errors import KafkaError
from cryptography import x509

from relay.credentials.redaction import Redactor
from relay.errors import one_line
from relay.kafka.diagnostics.probe import (
    BrokerAddress,
    BrokerProbe,
    accepts_connections,
    fetch_certificate,
    fetch_mechanisms,
    speaks_plaintext,
)

# <openssl/x509_vfy.h>: not yet valid, expired; other host name, other address
_VALIDITY_CODES, _HOST_NAME_CODES = {9, 10}, {62, 64}
_RESET_ERRNOS = {errno.ECONNRESET, errno.EPIPE, errno.ECONNABORTED}
_ERRNO_TEXT = re.compile(r"\[Errno (\d+)\]")  # in asyncio's message, if several addresses failed


class ConnectionProblem(Exception):
    """Why a broker does not accept the connection, and the remedy. The text follows the broker's address.

    `refused`: the broker answered, and refuses what the settings say, so an operator must act.
    """

    def __init__(self, text: str, *, refused: bool = False) -> None:
        super().__init__(text)
        self.refused = refused


async def diagnose_closed(probe: BrokerProbe, error: Exception) -> ConnectionProblem:
    """Return the problem of a connection that failed, or was closed during the login."""
    cause = error.__cause__ if isinstance(error, KafkaError) and error.__cause__ else error
    if isinstance(cause, ssl.SSLCertVerificationError):
        return await _untrusted_certificate(probe, cause)
    if isinstance(cause, ssl.SSLError) and "ALERT" in str(cause.reason):
        return _tls_alert(probe, str(cause.reason))
    if isinstance(cause, socket.gaierror):
        return ConnectionProblem(
            f"has an unknown host name ({cause.strerror}). Check kafka.bootstrap and the name server."
        )
    if isinstance(cause, OSError) and (number := _errno(cause)) and number not in _RESET_ERRNOS:
        return _unreachable(number)
    if isinstance(cause, TimeoutError):
        return await _no_answer(probe)
    return await _protocol_mismatch(probe, cause)


def _errno(error: OSError) -> int | None:
    found = _ERRNO_TEXT.search(str(error))
    return None if isinstance(error, ssl.SSLError) else error.errno or (int(found[1]) if found else None)


def _unreachable(number: int) -> ConnectionProblem:
    if number == errno.ECONNREFUSED:
        return ConnectionProblem(
            "refuses the connection: nothing listens on the port. Check kafka.bootstrap, and whether Kafka runs."
        )
    return ConnectionProblem(
        f"cannot be reached ({os.strerror(number)}). Check kafka.bootstrap and the network."
    )


async def _no_answer(probe: BrokerProbe) -> ConnectionProblem:
    if await accepts_connections(probe):
        return ConnectionProblem(
            "accepts the connection, but sends nothing for "
            f"{probe.timing.step_seconds:g} s: it hangs, or is not Kafka. See its log."
        )
    return ConnectionProblem(
        f"does not answer within {probe.timing.step_seconds:g} s: the address is wrong, its "
        "machine is down, or a firewall drops packets. Check kafka.bootstrap and the network."
    )


async def _protocol_mismatch(probe: BrokerProbe, cause: BaseException) -> ConnectionProblem:
    login = "SASL_" if probe.sasl else ""
    if probe.tls and await speaks_plaintext(probe):
        return ConnectionProblem(
            "speaks plain text, not TLS: use the port of its TLS listener in "
            f"kafka.bootstrap, or set kafka.security_protocol to {login}PLAINTEXT.",
            refused=True,
        )
    if not probe.tls and await fetch_certificate(probe):
        or_login = "" if probe.sasl else ", or to SASL_SSL if it requires a login"
        return ConnectionProblem(
            f"speaks TLS, not plain text: set kafka.security_protocol to {login}SSL{or_login}.",
            refused=True,
        )
    if isinstance(cause, ssl.SSLError) and cause.reason:
        reason = cause.reason.replace("_", " ").lower()
        return ConnectionProblem(
            f"fails the TLS handshake ({reason}): it is not Kafka, or "
            "requires another version of TLS. Check kafka.bootstrap.",
            refused=True,
        )
    return ConnectionProblem(
        "closes the connection without an answer: it is shutting down, is "
        "not Kafka, or has the reason in its log. Check kafka.bootstrap."
    )


# TLS


async def _untrusted_certificate(
    probe: BrokerProbe, error: ssl.SSLCertVerificationError
) -> ConnectionProblem:
    certificate, why = await fetch_certificate(probe), error.verify_message.rstrip(".")
    if error.verify_code in _VALIDITY_CODES:
        return ConnectionProblem(
            f"shows a certificate that is not valid now ({why}{_validity(certificate)}): "
            "renew it, or correct the clock of this machine.",
            refused=True,
        )
    if error.verify_code in _HOST_NAME_CODES:
        return ConnectionProblem(
            f"shows a certificate for {_host_names(certificate)}, not for {probe.broker.host}: use one of its "
            "names in kafka.bootstrap (and in the broker's advertised.listeners), or issue one for this name.",
            refused=True,
        )
    trusted = f"kafka.ca_file ({probe.kafka.ca_file})" if probe.kafka.ca_file else "this machine"
    return ConnectionProblem(
        f"shows a certificate that no CA known to {trusted} has signed "
        f"({why}{_issuer(certificate)}): set kafka.ca_file to the certificate of its CA.",
        refused=True,
    )


def _tls_alert(probe: BrokerProbe, reason: str) -> ConnectionProblem:
    own_certificate, alert = (
        probe.kafka.certificate_file,
        reason.partition("ALERT_")[2].replace("_", " ").lower(),
    )
    about_own_certificate = "CERTIFICATE" in reason or "UNKNOWN_CA" in reason
    if about_own_certificate and own_certificate is None:
        return ConnectionProblem(
            f"requires a client certificate ({alert}): set kafka.certificate_file and kafka.key_file.",
            refused=True,
        )
    if about_own_certificate:
        return ConnectionProblem(
            f"rejects the client certificate ({alert}{_validity(_load_certificate(own_certificate))}): "
            "check kafka.certificate_file; a CA that the broker trusts must have "
            "signed it, and it must not have expired.",
            refused=True,
        )
    hint = "" if own_certificate else ", or it requires a client certificate (kafka.certificate_file)"
    return ConnectionProblem(
        f"aborts the TLS handshake ({alert}): no TLS version or cipher is "
        f"common to both{hint}. Check the broker's ssl.enabled.protocols.",
        refused=True,
    )


def _load_certificate(path: Path | None) -> x509.Certificate | None:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes()) if path else None
    except (OSError, ValueError):
        return None


def _validity(certificate: x509.Certificate | None) -> str:
    if certificate is None:
        return ""
    return f"; valid from {_day(certificate.not_valid_before_utc)} to {_day(certificate.not_valid_after_utc)}"


def _day(moment: dt.datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%MZ")


def _issuer(certificate: x509.Certificate | None) -> str:
    return "" if certificate is None else f"; signed by {one_line(certificate.issuer.rfc4514_string(), 100)}"


def _host_names(certificate: x509.Certificate | None) -> str:
    try:
        names = (
            certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
            if certificate
            else None
        )
    except x509.ExtensionNotFound:
        names = None
    return one_line(", ".join(str(name.value) for name in names.value), 200) if names else "no host"


# the login


def login_not_expected(probe: BrokerProbe) -> ConnectionProblem:
    protocol = "SSL" if probe.tls else "PLAINTEXT"
    return ConnectionProblem(
        f"requires no login: set kafka.security_protocol to {protocol} and remove "
        "kafka.sasl_…, or use the port of a listener with login in kafka.bootstrap.",
        refused=True,
    )


def mechanism_not_offered(probe: BrokerProbe, offered: list[str]) -> ConnectionProblem:
    return ConnectionProblem(
        f"offers no login by {probe.kafka.sasl_mechanism}, only by "
        f"{', '.join(offered) or 'none'}: set kafka.sasl_mechanism to one of these.",
        refused=True,
    )


def login_rejected(probe: BrokerProbe, message: str | None) -> ConnectionProblem:
    if probe.kafka.sasl_mechanism == "OAUTHBEARER":
        source = probe.kafka.oauth_token_url or f"kafka.oauth_credential {probe.kafka.oauth_credential}"
        return ConnectionProblem(
            f"rejects the token of {source} ({_redact(probe, message)}): check kafka.oauth_scope, "
            "and the issuer and audience that the broker expects; its log has the details.",
            refused=True,
        )
    return ConnectionProblem(
        f"rejects the user {probe.kafka.sasl_username} or its password ({_redact(probe, message)}): check "
        "kafka.sasl_username and kafka.sasl_password. A changed file or store is read again; changed settings need a restart.",
        refused=True,
    )


def unexpected_login_answer(probe: BrokerProbe) -> ConnectionProblem:
    return ConnectionProblem(
        f"answers the {probe.kafka.sasl_mechanism} login wrongly, or does not know "
        "the password itself: it may be another server. Check kafka.bootstrap.",
        refused=True,
    )


def _redact(probe: BrokerProbe, message: str | None) -> str:
    """Return the broker's message without the password, which it may repeat."""
    redactor = Redactor()
    if probe.kafka.sasl_password is not None:
        redactor.add(probe.kafka.sasl_password.get_secret_value())
    return redactor(one_line(message or "without a reason"))


# after the login


async def closed_after_connect(probe: BrokerProbe) -> ConnectionProblem:
    if not probe.sasl and (offered := await fetch_mechanisms(probe)):
        protocol = "SASL_SSL" if probe.tls else "SASL_PLAINTEXT"
        return ConnectionProblem(
            f"requires a login: set kafka.security_protocol to {protocol}, "
            f"and kafka.sasl_mechanism to one of {', '.join(offered)}.",
            refused=True,
        )
    return ConnectionProblem("accepts the connection and then closes it: see its log for the reason.")


def wrong_advertised_listener(broker: BrokerAddress, problem: ConnectionProblem) -> ConnectionProblem:
    return ConnectionProblem(
        f"accepts the connection, but advertises {broker} to clients "
        f"(its setting advertised.listeners), which {problem}",
        refused=problem.refused,
    )


def unsupported_version() -> ConnectionProblem:
    return ConnectionProblem(
        "supports none of the relay's versions of Kafka's protocol: upgrade it to Kafka 2.1 or newer.",
        refused=True,
    )


def no_broker_named() -> ConnectionProblem:
    return ConnectionProblem(
        "names no broker of its cluster: it is starting, or the controllers have fenced every broker. See its log."
    )


def timed_out(seconds: float) -> ConnectionProblem:
    return ConnectionProblem(
        f"did not complete the login within {seconds:g} s: it is overloaded or hangs. See its log."
    )
