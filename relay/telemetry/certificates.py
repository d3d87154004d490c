"""The end of validity of the certificates whose files the settings name, as a metric."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

CERTIFICATE_EXPIRY = (
    "jira_relay_certificate_expiry_timestamp_seconds",
    "Time at which the certificate of a setting ends; of a file of CAs, when the last one does; absent while it cannot be read.",
)
_LARGEST = 1_000_000
"""Bytes; a file of all CAs of a system has a quarter of it."""


class CertificateExpiry(Collector):
    """Reads the files at each scrape, since they are replaced while the process runs."""

    def __init__(self, files: Mapping[str, Path]) -> None:
        """`files`: the files in PEM by the name of their setting, such as `kafka.certificate_file`."""
        self._files = files

    def collect(self) -> Iterator[Metric]:
        """Yield the metric, with a sample for each file that can be read."""
        found = GaugeMetricFamily(*CERTIFICATE_EXPIRY, labels=["setting"])
        for setting, path in self._files.items():
            if (expiry := certificate_expiry(path, of_last=setting.endswith("ca_file"))) is not None:
                found.add_metric([setting], expiry)
        yield found


def certificate_expiry(path: Path, *, of_last: bool) -> float | None:
    """Return the end of validity of the first certificate of a file in PEM, in seconds since 1970 UTC.

    `of_last`: of the one that ends last. None: the file cannot be read, or has no certificate, or one of an unknown version, which OpenSSL takes.
    """
    from cryptography import x509  # noqa: PLC0415 - loaded where a file is named

    try:
        if path.stat().st_size > _LARGEST:
            return None
        certificates = x509.load_pem_x509_certificates(path.read_bytes())
    except (OSError, ValueError, x509.InvalidVersion):
        return None
    ends = [each.not_valid_after_utc.timestamp() for each in certificates]
    return max(ends) if of_last else ends[0]
