"""What it means when a step on the way into Kafka fails, and what to do; where that can be several things, a second look is taken."""

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
_ERRNO_TEXT = re.compile(r"\[Errno (\d+)\]")  # asyncio says so of several addresses tried in vain


class ConnectionProblem(Exception):
    """Why a broker does not let us in and what to do, to stand after its address."""


async def diagnose_closed(probe: BrokerProbe, error: Exception) -> ConnectionProblem:
    """The connection was not made, or ended before we were in."""
    cause = error.__cause__ if isinstance(error, KafkaError) and error.__cause__ else error
    if isinstance(cause, ssl.SSLCertVerificationError):
        return await _untrusted_certificate(probe, cause)
    if isinstance(cause, ssl.SSLError) and "ALERT" in str(cause.reason):
        return _tls_alert(probe, str(cause.reason))
    if isinstance(cause, socket.gaierror):
        return ConnectionProblem(
            f"is not to be found: its name means nothing here ({cause.strerror}). Check kafka.bootstrap, and the name server."
        )
    if isinstance(cause, OSError) and (number := _errno(cause)) and number not in _RESET_ERRNOS:
        return _unreachable(number)
    if isinstance(cause, TimeoutError):
        return await _no_answer(probe)
    return await _protocol_mismatch(probe, cause)


def _errno(error: OSError) -> int | None:
    told = _ERRNO_TEXT.search(str(error))
    return None if isinstance(error, ssl.SSLError) else error.errno or (int(told[1]) if told else None)


def _unreachable(number: int) -> ConnectionProblem:
    if number == errno.ECONNREFUSED:
        return ConnectionProblem(
            "refuses the connection: nothing listens there. Check kafka.bootstrap, and whether Kafka runs."
        )
    return ConnectionProblem(
        f"cannot be reached ({os.strerror(number)}). Check kafka.bootstrap, and the way there."
    )


async def _no_answer(probe: BrokerProbe) -> ConnectionProblem:
    if await accepts_connections(probe):
        return ConnectionProblem(
            f"takes the connection, but says nothing for {probe.timing.step_seconds:g} s: it hangs, or is no Kafka. Look at its log."
        )
    return ConnectionProblem(
        f"does not answer within {probe.timing.step_seconds:g} s: the address is wrong, its machine is down, or a firewall is between."
        " Check kafka.bootstrap, and the way there."
    )


async def _protocol_mismatch(probe: BrokerProbe, cause: BaseException) -> ConnectionProblem:
    login = "SASL_" if probe.sasl else ""
    if probe.tls and await speaks_plaintext(probe):
        return ConnectionProblem(
            f"speaks plain text, not TLS: give the port of its TLS listener in kafka.bootstrap, or set kafka.security_protocol to"
            f" {login}PLAINTEXT."
        )
    if not probe.tls and await fetch_certificate(probe):
        or_login = "" if probe.sasl else ", or to SASL_SSL where it asks for a login"
        return ConnectionProblem(
            f"speaks TLS, not plain text: set kafka.security_protocol to {login}SSL{or_login}."
        )
    if isinstance(cause, ssl.SSLError) and cause.reason:
        reason = cause.reason.replace("_", " ").lower()
        return ConnectionProblem(
            f"does not come to terms with us over TLS ({reason}): it is no Kafka, or wants another version of TLS."
        )
    return ConnectionProblem(
        "closes the connection without an answer: it is being stopped, is no Kafka, or says why in its log. Check kafka.bootstrap."
    )


# TLS


async def _untrusted_certificate(
    probe: BrokerProbe, error: ssl.SSLCertVerificationError
) -> ConnectionProblem:
    certificate, why = await fetch_certificate(probe), error.verify_message.rstrip(".")
    if error.verify_code in _VALIDITY_CODES:
        return ConnectionProblem(
            f"shows a certificate that does not hold now ({why}{_validity(certificate)}): have it renewed, or set the clock of this machine."
        )
    if error.verify_code in _HOST_NAME_CODES:
        return ConnectionProblem(
            f"shows a certificate for {_host_names(certificate)}, not for {probe.broker.host}: use a name of it in kafka.bootstrap (and in the"
            " broker's advertised.listeners), or have one made for this name."
        )
    trusted = f"kafka.ca_file ({probe.kafka.ca_file})" if probe.kafka.ca_file else "this machine"
    return ConnectionProblem(
        f"shows a certificate that no authority known to {trusted} has signed ({why}{_issuer(certificate)}): set kafka.ca_file to the"
        " certificate of its authority."
    )


def _tls_alert(probe: BrokerProbe, reason: str) -> ConnectionProblem:
    own_certificate, alert = (
        probe.kafka.certificate_file,
        reason.partition("ALERT_")[2].replace("_", " ").lower(),
    )
    about_own_certificate = "CERTIFICATE" in reason or "UNKNOWN_CA" in reason
    if about_own_certificate and own_certificate is None:
        return ConnectionProblem(
            f"asks for a certificate of ours ({alert}): set kafka.certificate_file and kafka.key_file."
        )
    if about_own_certificate:
        return ConnectionProblem(
            f"does not accept our certificate ({alert}{_validity(_load_certificate(own_certificate))}): check kafka.certificate_file; an authority that the"
            " broker trusts must have signed it, and it must not have ended."
        )
    hint = "" if own_certificate else ", or it asks for a certificate of ours (kafka.certificate_file)"
    return ConnectionProblem(f"breaks TLS off ({alert}): we have no version or cipher in common{hint}.")


def _load_certificate(path: Path | None) -> x509.Certificate | None:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes()) if path else None
    except (OSError, ValueError):
        return None


def _validity(certificate: x509.Certificate | None) -> str:
    if certificate is None:
        return ""
    return (
        f"; its time is {_day(certificate.not_valid_before_utc)} to {_day(certificate.not_valid_after_utc)}"
    )


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
    return one_line(", ".join(str(name.value) for name in names.value), 200) if names else "no host at all"


# the login


def login_not_expected(probe: BrokerProbe) -> ConnectionProblem:
    protocol = "SSL" if probe.tls else "PLAINTEXT"
    return ConnectionProblem(
        f"asks for no login: set kafka.security_protocol to {protocol} and leave kafka.sasl_… out, or give the port of the listener"
        " that does in kafka.bootstrap."
    )


def mechanism_not_offered(probe: BrokerProbe, offered: list[str]) -> ConnectionProblem:
    return ConnectionProblem(
        f"offers no login by {probe.kafka.sasl_mechanism}, only by {', '.join(offered) or 'nothing'}: set kafka.sasl_mechanism."
    )


def login_rejected(probe: BrokerProbe, message: str | None) -> ConnectionProblem:
    if probe.kafka.sasl_mechanism == "OAUTHBEARER":
        source = probe.kafka.oauth_token_url or f"kafka.oauth_credential {probe.kafka.oauth_credential}"
        return ConnectionProblem(
            f"does not accept the token of {source} ({_redact(probe, message)}): check kafka.oauth_scope, and which issuer and audience"
            " the broker expects; its log says more."
        )
    return ConnectionProblem(
        f"does not accept the user {probe.kafka.sasl_username} with this password ({_redact(probe, message)}): check"
        " kafka.sasl_username and kafka.sasl_password. They are read at the start."
    )


def unexpected_login_answer(probe: BrokerProbe) -> ConnectionProblem:
    return ConnectionProblem(
        f"answers the login as no Kafka does by {probe.kafka.sasl_mechanism}, or does not know the password itself: it may not be"
        " the Kafka it should be. Check kafka.bootstrap."
    )


def _redact(probe: BrokerProbe, message: str | None) -> str:
    """The broker's own words, without what we have told it."""
    redactor = Redactor()
    if probe.kafka.sasl_password is not None:
        redactor.add(probe.kafka.sasl_password.get_secret_value())
    return redactor(one_line(message or "without a reason"))


# after the login


async def closed_after_connect(probe: BrokerProbe) -> ConnectionProblem:
    if not probe.sasl and (offered := await fetch_mechanisms(probe)):
        protocol = "SASL_SSL" if probe.tls else "SASL_PLAINTEXT"
        return ConnectionProblem(
            f"asks for a login: set kafka.security_protocol to {protocol}, and kafka.sasl_mechanism to one of {', '.join(offered)}."
        )
    return ConnectionProblem("lets us in and then closes the connection: its log may say why.")


def wrong_advertised_listener(broker: BrokerAddress, problem: ConnectionProblem) -> ConnectionProblem:
    return ConnectionProblem(
        f"lets us in, but has clients go on at {broker} (its setting advertised.listeners), and that one {problem}"
    )


def unsupported_version() -> ConnectionProblem:
    return ConnectionProblem("knows none of our versions of Kafka's protocol: it must be Kafka 2.1 or newer.")


def timed_out(seconds: float) -> ConnectionProblem:
    return ConnectionProblem(
        f"has not let us in within {seconds:.0f} s: it is overloaded or hangs. Look at its log."
    )
