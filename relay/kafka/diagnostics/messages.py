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
    STEP_SECONDS,
    Broker,
    Door,
    answers_in_clear,
    certificate_of,
    mechanisms_of,
    takes_connections,
)

# <openssl/x509_vfy.h>: not yet valid, expired; other host name, other address
_TIMES, _HOSTS = {9, 10}, {62, 64}
_RESET = {errno.ECONNRESET, errno.EPIPE, errno.ECONNABORTED}
_NUMBER = re.compile(r"\[Errno (\d+)\]")  # asyncio says so of several addresses tried in vain


class Refusal(Exception):
    """Why a broker does not let us in and what to do, to stand after its address."""


async def closed(door: Door, error: Exception) -> Refusal:
    """The connection was not made, or ended before we were in."""
    cause = error.__cause__ if isinstance(error, KafkaError) and error.__cause__ else error
    if isinstance(cause, ssl.SSLCertVerificationError):
        return await _untrusted(door, cause)
    if isinstance(cause, ssl.SSLError) and "ALERT" in str(cause.reason):
        return _alerted(door, str(cause.reason))
    if isinstance(cause, socket.gaierror):
        return Refusal(
            f"is not to be found: its name means nothing here ({cause.strerror}). Check kafka.bootstrap, and the name server."
        )
    if isinstance(cause, OSError) and (number := _errno(cause)) and number not in _RESET:
        return _unreached(number)
    if isinstance(cause, TimeoutError):
        return await _silent(door)
    return await _misunderstood(door, cause)


def _errno(error: OSError) -> int | None:
    told = _NUMBER.search(str(error))
    return None if isinstance(error, ssl.SSLError) else error.errno or (int(told[1]) if told else None)


def _unreached(number: int) -> Refusal:
    if number == errno.ECONNREFUSED:
        return Refusal(
            "refuses the connection: nothing listens there. Check kafka.bootstrap, and whether Kafka runs."
        )
    return Refusal(f"cannot be reached ({os.strerror(number)}). Check kafka.bootstrap, and the way there.")


async def _silent(door: Door) -> Refusal:
    if await takes_connections(door.broker):
        return Refusal(
            f"takes the connection, but says nothing for {STEP_SECONDS:.0f} s: it hangs, or is no Kafka. Look at its log."
        )
    return Refusal(
        f"does not answer within {STEP_SECONDS:.0f} s: the address is wrong, its machine is down, or a firewall is between."
        " Check kafka.bootstrap, and the way there."
    )


async def _misunderstood(door: Door, cause: BaseException) -> Refusal:
    login = "SASL_" if door.sasl else ""
    if door.tls and await answers_in_clear(door):
        return Refusal(
            f"speaks plain text, not TLS: give the port of its TLS listener in kafka.bootstrap, or set kafka.security_protocol to"
            f" {login}PLAINTEXT."
        )
    if not door.tls and await certificate_of(door.broker):
        or_login = "" if door.sasl else ", or to SASL_SSL where it asks for a login"
        return Refusal(f"speaks TLS, not plain text: set kafka.security_protocol to {login}SSL{or_login}.")
    if isinstance(cause, ssl.SSLError) and cause.reason:
        reason = cause.reason.replace("_", " ").lower()
        return Refusal(
            f"does not come to terms with us over TLS ({reason}): it is no Kafka, or wants another version of TLS."
        )
    return Refusal(
        "closes the connection without an answer: it is being stopped, is no Kafka, or says why in its log. Check kafka.bootstrap."
    )


# TLS


async def _untrusted(door: Door, error: ssl.SSLCertVerificationError) -> Refusal:
    shown, why = await certificate_of(door.broker), error.verify_message.rstrip(".")
    if error.verify_code in _TIMES:
        return Refusal(
            f"shows a certificate that does not hold now ({why}{_times(shown)}): have it renewed, or set the clock of this machine."
        )
    if error.verify_code in _HOSTS:
        return Refusal(
            f"shows a certificate for {_hosts(shown)}, not for {door.broker.host}: use a name of it in kafka.bootstrap (and in the"
            " broker's advertised.listeners), or have one made for this name."
        )
    trusted = f"kafka.ca_file ({door.kafka.ca_file})" if door.kafka.ca_file else "this machine"
    return Refusal(
        f"shows a certificate that no authority known to {trusted} has signed ({why}{_issuer(shown)}): set kafka.ca_file to the"
        " certificate of its authority."
    )


def _alerted(door: Door, reason: str) -> Refusal:
    ours, alert = door.kafka.certificate_file, reason.partition("ALERT_")[2].replace("_", " ").lower()
    about_ours = "CERTIFICATE" in reason or "UNKNOWN_CA" in reason
    if about_ours and ours is None:
        return Refusal(
            f"asks for a certificate of ours ({alert}): set kafka.certificate_file and kafka.key_file."
        )
    if about_ours:
        return Refusal(
            f"does not accept our certificate ({alert}{_times(_read(ours))}): check kafka.certificate_file; an authority that the"
            " broker trusts must have signed it, and it must not have ended."
        )
    hint = "" if ours else ", or it asks for a certificate of ours (kafka.certificate_file)"
    return Refusal(f"breaks TLS off ({alert}): we have no version or cipher in common{hint}.")


def _read(path: Path | None) -> x509.Certificate | None:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes()) if path else None
    except (OSError, ValueError):
        return None


def _times(certificate: x509.Certificate | None) -> str:
    if certificate is None:
        return ""
    return (
        f"; its time is {_day(certificate.not_valid_before_utc)} to {_day(certificate.not_valid_after_utc)}"
    )


def _day(moment: dt.datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%MZ")


def _issuer(certificate: x509.Certificate | None) -> str:
    return "" if certificate is None else f"; signed by {one_line(certificate.issuer.rfc4514_string(), 100)}"


def _hosts(certificate: x509.Certificate | None) -> str:
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


def no_login(door: Door) -> Refusal:
    protocol = "SSL" if door.tls else "PLAINTEXT"
    return Refusal(
        f"asks for no login: set kafka.security_protocol to {protocol} and leave kafka.sasl_… out, or give the port of the listener"
        " that does in kafka.bootstrap."
    )


def other_mechanisms(door: Door, offered: list[str]) -> Refusal:
    return Refusal(
        f"offers no login by {door.kafka.sasl_mechanism}, only by {', '.join(offered) or 'nothing'}: set kafka.sasl_mechanism."
    )


def login_refused(door: Door, message: str | None) -> Refusal:
    if door.kafka.sasl_mechanism == "OAUTHBEARER":
        source = door.kafka.oauth_token_url or f"kafka.oauth_credential {door.kafka.oauth_credential}"
        return Refusal(
            f"does not accept the token of {source} ({_safe(door, message)}): check kafka.oauth_scope, and which issuer and audience"
            " the broker expects; its log says more."
        )
    return Refusal(
        f"does not accept the user {door.kafka.sasl_username} with this password ({_safe(door, message)}): check"
        " kafka.sasl_username and kafka.sasl_password. They are read at the start."
    )


def strange_login(door: Door) -> Refusal:
    return Refusal(
        f"answers the login as no Kafka does by {door.kafka.sasl_mechanism}, or does not know the password itself: it may not be"
        " the Kafka it should be. Check kafka.bootstrap."
    )


def _safe(door: Door, message: str | None) -> str:
    """The broker's own words, without what we have told it."""
    redactor = Redactor()
    if door.kafka.sasl_password is not None:
        redactor.add(door.kafka.sasl_password.get_secret_value())
    return redactor(one_line(message or "without a reason"))


# behind the door


async def cut_off(door: Door) -> Refusal:
    if not door.sasl and (offered := await mechanisms_of(door)):
        protocol = "SASL_SSL" if door.tls else "SASL_PLAINTEXT"
        return Refusal(
            f"asks for a login: set kafka.security_protocol to {protocol}, and kafka.sasl_mechanism to one of {', '.join(offered)}."
        )
    return Refusal("lets us in and then closes the connection: its log may say why.")


def wrong_address(broker: Broker, why: Refusal) -> Refusal:
    return Refusal(
        f"lets us in, but has clients go on at {broker} (its setting advertised.listeners), and that one {why}"
    )


def too_different() -> Refusal:
    return Refusal("knows none of our versions of Kafka's protocol: it must be Kafka 2.1 or newer.")


def too_slow(seconds: float) -> Refusal:
    return Refusal(f"has not let us in within {seconds:.0f} s: it is overloaded or hangs. Look at its log.")
