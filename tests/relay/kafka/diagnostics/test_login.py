"""Each reason why Kafka does not let us in has a sentence that names it, and no secret in it."""

import asyncio
import contextlib
import datetime as dt
import socket
import struct

import pytest
from aiohttp import web
from aiokafka.conn import AIOKafkaConnection, ScramAuthenticator
from cryptography.hazmat.primitives import serialization

from relay.config.kafka import KafkaConfig
from relay.errors import RelayError
from relay.kafka.connection import Connection, KafkaUnreachableError
from relay.kafka.diagnostics.probe import DEFAULT_TIMING, ProbeTiming
from simulators.faults import respond_with
from tests.support.secure_kafka import UNUSED_ADDRESS

WRONG = "wrong-horse-battery"


async def connection_error(given, timing=DEFAULT_TIMING):
    with pytest.raises(KafkaUnreachableError) as caught:
        await Connection(KafkaConfig(**given)).verify(timing)
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
async def test_a_login_that_is_refused(secure_kafka, cause):
    """The user, or the mechanisms that would do, are named."""
    changes, expected = LOGINS[cause]
    sentence = await connection_error({**secure_kafka.scram_settings(), **changes})

    assert sentence.startswith(f"Kafka at {secure_kafka.listener_address('scram')} {expected}")
    assert secure_kafka.password not in sentence
    assert WRONG not in sentence


async def test_no_login_where_one_is_asked_for(secure_kafka):
    """Without a login Kafka cuts us off; what it would take is asked for, and told."""
    tls = {"security_protocol": "SSL", "ca_file": secure_kafka.authority.file}

    sentence = await connection_error({"bootstrap": secure_kafka.listener_address("scram"), **tls})
    assert "requires a login: set kafka.security_protocol to SASL_SSL" in sentence
    assert "one of SCRAM-SHA-512" in sentence
    assert "to SASL_PLAINTEXT" in await connection_error(
        {"bootstrap": secure_kafka.listener_address("clear")}
    )


async def test_a_login_where_none_is_asked_for(secure_kafka):
    """A listener without login is told from a wrong password."""
    clear = {"security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "PLAIN", "sasl_username": "relay"}
    sentence = await connection_error({"bootstrap": secure_kafka.bootstrap, **clear, "sasl_password": WRONG})

    assert "requires no login: set kafka.security_protocol to PLAINTEXT" in sentence
    assert WRONG not in sentence


async def test_tls_and_plain_text_mistaken_for_one_another(secure_kafka):
    """TLS spoken to a plain listener and the other way round are named, with what to set."""
    tls, clear = secure_kafka.scram_settings(), {"bootstrap": secure_kafka.listener_address("mutual")}

    assert "speaks TLS, not plain text: set kafka.security_protocol to SSL" in await connection_error(clear)
    sentence = await connection_error({**tls, "bootstrap": secure_kafka.listener_address("clear")})
    assert "speaks plain text, not TLS" in sentence
    assert "SASL_PLAINTEXT" in sentence


@pytest.mark.parametrize("trusted", ["stranger", None])
async def test_a_certificate_of_an_authority_that_we_do_not_know(secure_kafka, trusted):
    """Its issuer is named, and what it was checked against."""
    known = secure_kafka.untrusted_authority.file if trusted else None
    sentence = await connection_error({**secure_kafka.scram_settings(), "ca_file": known})

    assert f"no CA known to {f'kafka.ca_file ({known})' if known else 'this machine'}" in sentence
    assert "signed by CN=authority" in sentence


async def test_a_certificate_that_has_ended(secure_kafka):
    """The time of the certificate is told."""
    sentence = await connection_error(
        {**secure_kafka.mutual_settings(), "bootstrap": secure_kafka.listener_address("expired")}
    )

    yesterday = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
    assert "shows a certificate that is not valid now (certificate has expired" in sentence
    assert f"to {yesterday:%Y-%m-%d}" in sentence


async def test_a_certificate_for_other_hosts(secure_kafka):
    """The hosts in the certificate are named beside ours."""
    sentence = await connection_error(
        {**secure_kafka.mutual_settings(), "bootstrap": secure_kafka.listener_address("elsewhere")}
    )

    assert "shows a certificate for kafka-1.example.com, 10.0.0.1, not for 127.0.0.1" in sentence


async def test_our_certificate_missing_or_refused(secure_kafka):
    """A missing certificate of ours is asked for; one of a stranger, and one that has ended, are refused with their time."""
    bare = {**secure_kafka.mutual_settings(), "certificate_file": None, "key_file": None}
    theirs = secure_kafka.untrusted_authority.issue("theirs", ())
    old = secure_kafka.authority.issue("old", (), expires_in=-dt.timedelta(days=1))

    assert "requires a client certificate" in await connection_error(bare)
    for pair in (theirs, old):
        refused = {"certificate_file": pair.certificate, "key_file": pair.key}
        assert "rejects the client certificate (certificate unknown; valid from" in await connection_error(
            bare | refused
        )


async def test_a_key_that_cannot_be_used(secure_kafka, tmp_path):
    """A key of another certificate, and one that is encrypted, are told at once."""
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


async def test_a_token_that_kafka_refuses(secure_kafka, authorization_server):
    """aiokafka takes a refused token for an accepted one; here it is refused, and no token stands in the sentence."""
    authorization_server.audience = "somebody else"
    sentence = await connection_error(secure_kafka.oauth_settings(authorization_server))

    assert f"rejects the token of {authorization_server.url}" in sentence
    assert "invalid_token" in sentence
    assert not [token for token in authorization_server.issued_tokens if token in sentence]


async def test_no_token(secure_kafka, authorization_server):
    """Where no token is to be had, the reason is that of whoever gives them."""
    given = secure_kafka.oauth_settings(authorization_server)
    sentence = await connection_error({**given, "oauth_client_secret": WRONG})

    assert "gives no token to the client jira-relay (401 invalid_client Bad client credentials)" in sentence
    assert WRONG not in sentence
    authorization_server.faults.add(respond_with(503))
    assert "gives no token for now" in await connection_error(given)


async def test_a_name_that_means_nothing_and_a_port_where_nobody_listens():
    """An unknown host and a refused connection are told apart; brokers with the same trouble share a sentence."""
    both = {"bootstrap": f"no-such-host.invalid:9092,localhost:1,{UNUSED_ADDRESS}"}

    unknown, refused = (
        (await connection_error(both)).split(". Kafka at ")[0],
        (await connection_error(both)).split(" Kafka at ")[1],
    )
    assert "no-such-host.invalid:9092 has an unknown host name" in unknown
    assert refused.startswith(f"localhost:1, {UNUSED_ADDRESS} refuses the connection")


async def test_one_broker_that_lets_us_in_is_enough(secure_kafka):
    """A bootstrap broker that is away is no refusal while another one answers."""
    await Connection(KafkaConfig(bootstrap=f"{UNUSED_ADDRESS},{secure_kafka.bootstrap}")).verify()


async def test_silence():
    """No connection, and a connection on which nothing is said, are told apart."""
    timing = ProbeTiming(step_seconds=0.5)
    with socket.create_server(("127.0.0.1", 0), backlog=1) as quiet:
        address = f"127.0.0.1:{quiet.getsockname()[1]}"

        assert "accepts the connection, but sends nothing" in await connection_error(
            {"bootstrap": address}, timing
        )
        with full_backlog(quiet):
            assert "does not answer within" in await connection_error({"bootstrap": address}, timing)


@contextlib.contextmanager
def full_backlog(server):
    """Nobody accepts, and no more may wait."""
    waiting = [socket.socket() for _ in range(8)]
    try:
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(server.getsockname())
        yield
    finally:
        for one in waiting:
            one.close()


async def test_what_is_no_kafka():
    """Something that speaks another language is not taken for Kafka, whichever of the two we speak."""
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
async def test_a_connection_that_is_reset(protocol):
    """Something that takes the connection and resets it is told from something that does not listen."""

    def reset(_reader, writer):
        writer.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )
        writer.close()

    async with await asyncio.start_server(reset, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        sentence = await connection_error({"bootstrap": f"127.0.0.1:{port}", "security_protocol": protocol})

    assert "closes the connection without an answer" in sentence


async def test_a_kafka_that_does_not_know_the_password(secure_kafka, monkeypatch):
    """With SCRAM the broker has to prove itself too; one whose proof is another is not trusted."""
    prove = ScramAuthenticator.process_server_first_message

    def expect_another(authenticator, message):
        prove(authenticator, message)
        authenticator._server_signature = b"another"

    monkeypatch.setattr(ScramAuthenticator, "process_server_first_message", expect_another)

    assert "it may be another server" in await connection_error(secure_kafka.scram_settings())


@pytest.mark.parametrize("versions", [{}, {3: (90, 99)}])
async def test_a_kafka_of_another_age(secure_kafka, monkeypatch, versions):
    """A broker that shares no version of a request with us is told from one that refuses us."""
    ask = AIOKafkaConnection._do_version_lookup

    async def lookup(connection):
        await ask(connection)
        connection._versions = versions

    monkeypatch.setattr(AIOKafkaConnection, "_do_version_lookup", lookup)

    assert "supports none of the relay's versions" in await connection_error({"bootstrap": secure_kafka.bootstrap})


async def test_an_address_that_kafka_gives_to_clients_and_nobody_can_use(secure_kafka):
    """A broker that answers, but sends its clients elsewhere, is the one whose setting is named."""
    sentence = await connection_error({"bootstrap": secure_kafka.listener_address("lost")})

    assert sentence.startswith(
        f"Kafka at {secure_kafka.listener_address('lost')} accepts the connection, but advertises {UNUSED_ADDRESS}"
    )
    assert "advertised.listeners" in sentence
    assert "refuses the connection" in sentence
