import datetime as dt
import ssl

import pytest
from prometheus_client import CollectorRegistry

from management import settings
from relay.config.certificate_files import certificate_files
from relay.telemetry.certificates import CertificateExpiry
from tests.support.certificates import CertificateAuthority

DAY = dt.timedelta(days=1)


@pytest.fixture
def authority(tmp_path):
    return CertificateAuthority(tmp_path, "ca")


def days_left(files):
    registry = CollectorRegistry()
    registry.register(CertificateExpiry(files))
    now = dt.datetime.now(dt.UTC).timestamp()
    return {
        s.labels["setting"]: round((s.value - now) / 86_400) for f in registry.collect() for s in f.samples
    }


def test_the_end_of_each_certificate_is_read_at_each_scrape(authority, tmp_path):
    """A replaced file shows at the next scrape; one that cannot be read, or has no certificate, has no sample."""
    file = authority.issue("relay", expires_in=5 * DAY).combined_file
    (tmp_path / "empty.pem").write_bytes(b"")
    files = {
        "kafka.certificate_file": file,
        "a": tmp_path / "missing.pem",
        "b": tmp_path / "empty.pem",
        "c": tmp_path,
    }

    assert days_left(files) == {"kafka.certificate_file": 5}
    file.write_bytes(authority.issue("other", expires_in=9 * DAY).certificate.read_bytes())
    assert days_left(files) == {"kafka.certificate_file": 9}


def test_a_chain_ends_with_its_first_certificate_and_a_file_of_cas_with_its_last(authority, tmp_path):
    """An old CA in a bundle is no trouble while another one is valid."""
    parts = [authority.issue(f"part-{days}", expires_in=days * DAY).certificate for days in (-3, 9)]
    file = tmp_path / "bundle.pem"
    file.write_bytes(b"".join(each.read_bytes() for each in parts))

    assert days_left({"kafka.certificate_file": file, "kafka.ca_file": file}) == {
        "kafka.certificate_file": -3,
        "kafka.ca_file": 9,
    }


def test_a_certificate_that_only_openssl_takes_does_not_end_the_metrics(authority, tmp_path):
    """One of an unknown version in a company's bundle would make each scrape fail."""
    encoded = authority.issue("odd", expires_in=5 * DAY).certificate.read_bytes()
    odd = ssl.PEM_cert_to_DER_cert(encoded.decode()).replace(
        b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x05", 1
    )
    file = tmp_path / "odd.pem"
    file.write_text(ssl.DER_cert_to_PEM_cert(odd))
    ssl.create_default_context(cafile=file)

    assert days_left({"kafka.ca_file": file, "kafka.certificate_file": authority.file}).keys() == {
        "kafka.certificate_file"
    }


def test_the_settings_name_their_files(authority):
    """Those of a destination are under its name."""
    file = authority.file
    environ = {
        "RELAY_KAFKA__CA_FILE": str(file),
        "RELAY_KAFKA__SECURITY_PROTOCOL": "SSL",
        "RELAY_DESTINATIONS__COPY__KIND": "kafka",
        "RELAY_DESTINATIONS__COPY__BOOTSTRAP_SERVERS": "k:9093",
        "RELAY_DESTINATIONS__COPY__TOPIC": "jira",
        "RELAY_DESTINATIONS__COPY__SECURITY_PROTOCOL": "SSL",
        "RELAY_DESTINATIONS__COPY__CA_FILE": str(file),
    }

    assert certificate_files(settings.load(None, environ)) == {
        "kafka.ca_file": file,
        "destinations.copy.ca_file": file,
    }
