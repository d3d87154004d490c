"""A login that changes while the relay runs: new connections use the new one, without a restart."""

import asyncio
import shutil

import pytest
from structlog.testing import capture_logs

from relay.config.file_secret import FileSecret
from relay.config.kafka import KafkaConfig
from relay.credentials.stores.cache import SecretStores, SecretStoreTiming
from relay.credentials.stores.error import SecretStoreError
from relay.credentials.stores.stored_secret import StoredSecret
from relay.errors import RelayError
from relay.kafka.batch_producer import BatchProducer
from relay.kafka.certificate_files import CertificateFiles
from relay.kafka.connection import Connection, KafkaUnreachableError
from relay.kafka.producer import RecordWriter
from tests.support.certificates import CertificateAuthority
from tests.support.kafka import PATIENCE
from tests.support.topic_reader import make_topics

OLD, NEW = "the-first-password", "the-second-password"
REFERENCE = "vault:secret/kafka#password"


def connection_with(secure_kafka, user, password):
    settings = {**secure_kafka.scram_settings(), "sasl_username": user, "sasl_password": password}
    return Connection(KafkaConfig.model_validate(settings), patience=PATIENCE)


async def test_a_running_client_logs_in_with_the_password_that_its_file_has_now(
    secure_kafka, prefix, tmp_path
):
    """The broker gets another password, then the file, which is empty for a moment; the same client writes on."""
    file = tmp_path / "password"
    file.write_text(OLD)
    await secure_kafka.set_password(prefix, OLD)
    await asyncio.to_thread(make_topics, secure_kafka.bootstrap, prefix)
    connection = connection_with(secure_kafka, prefix, FileSecret("kafka.sasl_password_file", file, OLD))
    async with RecordWriter(connection) as writer:
        assert await writer.send(prefix, b"k", b"1") == 0
        producer = writer._producer
        await secure_kafka.set_password(prefix, NEW)
        file.write_text("")
        assert await writer.send(prefix, b"k", b"2") == 1
        file.write_text(NEW)
        for each in list(producer.client._conns.values()):
            each.close()
        assert await writer.send(prefix, b"k", b"3") == 2
        assert writer._producer is producer


async def test_a_producer_of_a_destination_logs_in_with_the_password_of_now(tmp_path):
    """It lives as long as its destination, so it may connect again after a rotation."""
    file = tmp_path / "password"
    file.write_text(OLD)
    settings = {
        "bootstrap": "127.0.0.1:1",
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "PLAIN",
        "sasl_username": "relay",
        "sasl_password": FileSecret("kafka.sasl_password_file", file, OLD),
    }
    batches = BatchProducer(Connection(KafkaConfig.model_validate(settings)), "none")
    client = batches._producer.client
    file.write_text(NEW)
    await client._get_conn(1)
    await batches.discard(1)

    assert client._sasl_plain_password == NEW


async def test_a_refused_login_asks_the_store_once_more(secure_kafka, prefix):
    """The store still has the old password, then cannot answer, and then has the new one: only that one is let in."""
    answers = [OLD, OLD, SecretStoreError("The store is sealed."), NEW]

    async def read(_reference):
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    stores = SecretStores(read, SecretStoreTiming(reread_seconds=0.0))
    stores.read_all([REFERENCE])
    await secure_kafka.set_password(prefix, NEW)
    connection = connection_with(secure_kafka, prefix, StoredSecret(stores, REFERENCE))
    with capture_logs() as lines:
        for _ in range(2):
            with pytest.raises(KafkaUnreachableError) as refused:
                await connection.verify()
            assert refused.value.refused
        await connection.verify()

    assert [line["event"] for line in lines if line["log_level"] == "warning"] == [
        "A secret could not be read again; the old value is used."
    ]
    assert not [text for text in (OLD, NEW) if text in str(lines)]


def test_changed_certificates_make_a_new_context_once_they_are_whole(tmp_path):
    """A half-written key, or the key of another certificate, leaves the context of before, and is named once."""
    authority = CertificateAuthority(tmp_path, "authority")
    first, second = (authority.issue(name, ()) for name in ("first", "second"))
    certificate, key = tmp_path / "client.pem", tmp_path / "client.key"
    shutil.copy(first.certificate, certificate)
    shutil.copy(first.key, key)
    settings = {"security_protocol": "SSL", "certificate_file": certificate, "key_file": key}
    files = CertificateFiles(KafkaConfig.model_validate(settings))
    with capture_logs() as lines:
        before = files.context()
        assert files.context() is before
        shutil.copy(second.certificate, certificate)
        assert files.context() is before
        key.write_bytes(second.key.read_bytes()[:100])
        assert files.context() is before
        shutil.copy(second.key, key)
        after = files.context()
        assert after is not before
        assert files.context() is after

    warnings = [line["event"] for line in lines if line["log_level"] == "warning"]
    assert all("those of before are used" in each for each in warnings)
    assert 1 <= len(warnings) <= 2
    assert "can be used again" in lines[-1]["event"]


def test_a_fault_ends_where_the_same_file_is_back(tmp_path):
    """It was moved away and back, so there is nothing to read; the next fault is news again."""
    file, away = CertificateAuthority(tmp_path, "ca").file, tmp_path / "away"
    files = CertificateFiles(KafkaConfig(bootstrap="kafka:9093", security_protocol="SSL", ca_file=file))
    first = files.context()
    with capture_logs() as lines:
        for _ in range(2):
            file.rename(away)
            assert files.context() is files.context() is first
            away.rename(file)
            assert files.context() is first
    assert [each["log_level"] for each in lines] == ["warning", "info", "warning", "info"]


def test_certificates_that_cannot_be_used_at_the_start_are_an_error(tmp_path):
    file = tmp_path / "ca.pem"
    file.write_text("no certificate")
    with pytest.raises(RelayError, match="ca_file"):
        CertificateFiles(KafkaConfig.model_validate({"security_protocol": "SSL", "ca_file": file})).context()
