"""The log lines about topic settings that lose records; one line when a setting is found, and one when it is corrected."""

from collections.abc import Iterable

import structlog

from relay.kafka.topic_comparison import DataLossRisk

log = structlog.get_logger(__name__)


def log_risk_changes(
    message: str, before: Iterable[DataLossRisk], after: Iterable[DataLossRisk], bootstrap: str
) -> None:
    """Log each new risk with `message`, which says what follows from it, and each risk that is gone."""
    for risk in set(after) - set(before):
        log.error(
            message,
            topic=risk.topic,
            setting=risk.setting,
            found=risk.found,
            loss=risk.loss,
            command=risk.command(bootstrap),
        )
    for risk in set(before) - set(after):
        log.info("A topic setting was corrected.", topic=risk.topic, setting=risk.setting)


def log_unknown_settings(before: str | None, after: str | None) -> None:
    """Log which settings Kafka does not report, once for each change. None: it reports all."""
    if after is not None and after != before:
        log.warning("Kafka did not report some topic settings. Grant DescribeConfigs.", reason=after)
