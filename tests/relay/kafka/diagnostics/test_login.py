"""Each reason why Kafka does not accept a connection has a sentence that names it and holds no secret."""

import asyncio
import contextlib
import datetime as dt
import socket
import struct

import pytest
from aiohttp import web
from aiokafka.conn import AIOKafkaConnection, ScramAuthenticator
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from relay.config.kafka import KafkaConfig
from relay.errors import RelayError
from relay.kafka.connection import Connection, KafkaUnreachableError
from relay.kafka.diagnostics.probe import ProbeTiming
from simulators.faults import respond_with
from tests.support.kafka import PATIENCE
from tests.support.secure_kafka import UNUSED_ADDRESS

WRONG = "wrong-horse-battery"


async def connection_error(given, timing=None):
    with pytest.raises(KafkaUnreachableError) as caught:
        await Connection(KafkaConfig(**given), patience=PATIENCE).verify(timing)
    return str(caught.value)


LOGINS = {
    "a wrong password": ({"sasl_password": WRONG}, "rejects the user relay or its password"),
    "an unknown user": ({"sasl_username": "nobody"}, "rejects the user nobody"),
    "a mechanism that is not offered": (
        {"sasl_mechanism": "SCRAM-SHA-256"},
        "offers no login by SCRAM-SHA-256, only by SCRAM-SHA-512: set kafka.sasl_mechanism",
    ),
}


@pytest.mark.parametrize("cause", LOGINS)
async def test_a_rejected_login_is_explained(secure_kafka, cause):
    """The sentence names the user, or the mechanisms that the broker offers."""
    changes, expected = LOGINS[cause]
    sentence = await connection_error({**secure_kafka.scram_settings(), **changes})

    assert sentence.startswith(f"Kafka at {secure_kafka.listener_address('scram')} {expected}")
    assert secure_kafka.password not in sentence
    assert WRONG not in sentence


async def test_a_missing_login_is_explained(secure_kafka):
    """Kafka closes a connection without login; the sentence names the protocol and mechanisms that it requires."""
    tls = {"security_protocol": "SSL", "ca_file": secure_kafka.authority.file}

    sentence = await connection_error({"bootstrap": secure_kafka.listener_address("scram"), **tls})
    assert "requires a login: set kafka.security_protocol to SASL_SSL" in sentence
    assert "one of SCRAM-SHA-512" in sentence
    assert "to SASL_PLAINTEXT" in await connection_error(
        {"bootstrap": secure_kafka.listener_address("clear")}
    )


async def test_a_login_at_a_listener_without_login_is_explained(secure_kafka):
    """A listener without login is distinguished from a wrong password."""
    clear = {"security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "PLAIN", "sasl_username": "relay"}
    sentence = await connection_error({"bootstrap": secure_kafka.bootstrap, **clear, "sasl_password": WRONG})

    assert "requires no login: set kafka.security_protocol to PLAINTEXT" in sentence
    assert WRONG not in sentence


async def test_a_mismatch_of_tls_and_plain_text_is_explained(secure_kafka):
    """TLS spoken to a plain listener, and plain text spoken to a TLS listener, are named with the setting to change."""
    tls, clear = secure_kafka.scram_settings(), {"bootstrap": secure_kafka.listener_address("mutual")}

    assert "speaks TLS, not plain text: set kafka.security_protocol to SSL" in await connection_error(clear)
    sentence = await connection_error({**tls, "bootstrap": secure_kafka.listener_address("clear")})
    assert "speaks plain text, not TLS" in sentence
    assert "SASL_PLAINTEXT" in sentence


@pytest.mark.parametrize("trusted", ["stranger", None])
async def test_a_certificate_of_an_unknown_ca_is_explained(secure_kafka, trusted):
    """The sentence names the issuer, and the CA file that it was checked against."""
    known = secure_kafka.untrusted_authority.file if trusted else None
    sentence = await connection_error({**secure_kafka.scram_settings(), "ca_file": known})

    assert f"no CA known to {f'kafka.ca_file ({known})' if known else 'this machine'}" in sentence
    assert "signed by CN=authority" in sentence


async def test_an_expired_certificate_is_explained(secure_kafka):
    """The sentence has the validity of the certificate."""
    sentence = await connection_error(
        {**secure_kafka.mutual_settings(), "bootstrap": secure_kafka.listener_address("expired")}
    )

    shown = x509.load_pem_x509_certificate(secure_kafka.expired_certificate.certificate.read_bytes())
    assert "shows a certificate that is not valid now (certificate has expired" in sentence
    assert f"to {shown.not_valid_after_utc:%Y-%m-%d}" in sentence


async def test_a_certificate_for_other_hosts_is_explained(secure_kafka):
    """The sentence names the hosts of the certificate, and the host of the settings."""
    sentence = await connection_error(
        {**secure_kafka.mutual_settings(), "bootstrap": secure_kafka.listener_address("elsewhere")}
    )

    assert "shows a certificate for kafka-1.example.com, 10.0.0.1, not for 127.0.0.1" in sentence


async def test_a_missing_or_rejected_client_certificate_is_explained(secure_kafka):
    """A missing client certificate is requested; one of another CA and an expired one are rejected with their
    validity.
    """
    bare = {**secure_kafka.mutual_settings(), "certificate_file": None, "key_file": None}
    theirs = secure_kafka.untrusted_authority.issue("theirs", ())
    old = secure_kafka.authority.issue("old", (), expires_in=-dt.timedelta(days=1))

    assert "requires a client certificate" in await connection_error(bare)
    for pair in (theirs, old):
        refused = {"certificate_file": pair.certificate, "key_file": pair.key}
        assert "rejects the client certificate (certificate unknown; valid from" in await connection_error(
            bare | refused
        )


async def test_an_unusable_key_is_an_error_before_the_connection(secure_kafka, tmp_path):
    """A key of another certificate and an encrypted key are reported at once."""
    given = secure_kafka.mutual_settings()
    encrypted = tmp_path / "encrypted.key"
    key = serialization.load_pem_private_key(secure_kafka.client_certificate.key.read_bytes(), None)
    locked = serialization.BestAvailableEncryption(b"horse")
    encrypted.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked)
    )
    others = secure_kafka.authority.issue("others", ()).key

    for file in (encrypted, others):
        with pytest.raises(RelayError, match=r"certificate file for Kafka cannot be used.*kafka\.key_file"):
            await Connection(KafkaConfig(**{**given, "key_file": file})).verify()


async def test_a_token_that_kafka_rejects_is_explained(secure_kafka, authorization_server):
    """aiokafka takes a rejected token for an accepted one; the probe reports the rejection, and the sentence shows no
    token.
    """
    authorization_server.audience = "somebody else"
    sentence = await connection_error(secure_kafka.oauth_settings(authorization_server))

    assert f"rejects the token of {authorization_server.url}" in sentence
    assert "invalid_token" in sentence
    assert not [token for token in authorization_server.issued_tokens if token in sentence]


async def test_a_missing_token_is_explained(secure_kafka, authorization_server):
    """If no token is available, the sentence has the reason of the authorization server."""
    given = secure_kafka.oauth_settings(authorization_server)
    sentence = await connection_error({**given, "oauth_client_secret": WRONG})

    assert "gives no token to the client jira-relay (401 invalid_client Bad client credentials)" in sentence
    assert WRONG not in sentence
    authorization_server.faults.add(respond_with(503))
    assert "gives no token for now" in await connection_error(given)


async def test_an_unknown_host_and_a_closed_port_are_explained():
    """An unknown host and a refused connection are distinguished; brokers with the same cause share a sentence."""
    both = {"bootstrap": f"no-such-host.invalid:9092,localhost:1,{UNUSED_ADDRESS}"}

    unknown, refused = (
        (await connection_error(both)).split(". Kafka at ")[0],
        (await connection_error(both)).split(" Kafka at ")[1],
    )
    assert "no-such-host.invalid:9092 has an unknown host name" in unknown
    assert refused.startswith(f"localhost:1, {UNUSED_ADDRESS} refuses the connection")


async def test_one_reachable_broker_is_enough(secure_kafka):
    """An unreachable bootstrap broker is not a problem while another one answers."""
    await Connection(
        KafkaConfig(bootstrap=f"{UNUSED_ADDRESS},{secure_kafka.bootstrap}"), patience=PATIENCE
    ).verify()


async def test_a_silent_broker_is_explained():
    """A connection that fails and a connection without an answer are distinguished."""
    timing = ProbeTiming(step_seconds=1.0)
    with socket.create_server(("127.0.0.1", 0), backlog=1) as quiet:
        address = f"127.0.0.1:{quiet.getsockname()[1]}"

        assert "accepts the connection, but sends nothing" in await connection_error(
            {"bootstrap": address}, timing
        )
        with full_backlog(quiet):
            assert "does not answer within" in await connection_error({"bootstrap": address}, timing)


@contextlib.contextmanager
def full_backlog(server):
    """Fill the accept queue, so that no further connection is accepted."""
    waiting = [socket.socket() for _ in range(8)]
    try:
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(server.getsockname())
        yield
    finally:
        for one in waiting:
            one.close()


async def test_a_server_that_is_not_kafka_is_explained():
    """An HTTP server is not taken for Kafka, with TLS or without."""
    runner = web.AppRunner(web.Application())
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    address = {"bootstrap": f"127.0.0.1:{runner.addresses[0][1]}"}
    sentences = [
        await connection_error(address),
        await connection_error(address | {"security_protocol": "SSL"}),
    ]
    await runner.cleanup()

    assert "closes the connection without an answer" in sentences[0]
    assert "fails the TLS handshake" in sentences[1]


@pytest.mark.parametrize("protocol", ["PLAINTEXT", "SSL"])
async def test_a_reset_connection_is_explained(protocol):
    """A server that accepts and resets a connection is distinguished from a closed port."""

    def reset(_reader, writer):
        writer.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )
        writer.close()

    async with await asyncio.start_server(reset, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        sentence = await connection_error({"bootstrap": f"127.0.0.1:{port}", "security_protocol": protocol})

    assert "closes the connection without an answer" in sentence


async def test_a_broker_without_the_password_is_explained(secure_kafka, monkeypatch):
    """With SCRAM the broker must prove itself too; one with a wrong proof is not trusted."""
    prove = ScramAuthenticator.process_server_first_message

    def expect_another(authenticator, message):
        prove(authenticator, message)
        authenticator._server_signature = b"another"

    monkeypatch.setattr(ScramAuthenticator, "process_server_first_message", expect_another)

    assert "it may be another server" in await connection_error(secure_kafka.scram_settings())


@pytest.mark.parametrize("versions", [{}, {3: (90, 99)}])
async def test_a_broker_of_another_version_is_explained(secure_kafka, monkeypatch, versions):
    """A broker without a common protocol version is distinguished from one that rejects the login."""
    ask = AIOKafkaConnection._do_version_lookup

    async def lookup(connection):
        await ask(connection)
        connection._versions = versions

    monkeypatch.setattr(AIOKafkaConnection, "_do_version_lookup", lookup)

    assert "supports none of the relay's versions" in await connection_error(
        {"bootstrap": secure_kafka.bootstrap}
    )


async def test_an_unreachable_advertised_listener_is_explained(secure_kafka):
    """A broker that sends its clients to an unreachable address is named with its setting."""
    sentence = await connection_error({"bootstrap": secure_kafka.listener_address("lost")})

    assert sentence.startswith(
        f"Kafka at {secure_kafka.listener_address('lost')} accepts the connection, but advertises {UNUSED_ADDRESS}"
    )
    assert "advertised.listeners" in sentence
    assert "refuses the connection" in sentence
