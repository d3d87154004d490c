"""Metrics: the catalogue of the consumer, and one method for each event that is a log line and a count.

Enters: facts about requests, records, offsets and partitions.
Leaves: Prometheus metrics and log lines.
May not know: who reports an event, or the cause of it.
"""

from consumer.metrics.events import FROM_COMMITTED_OFFSET, PipelineMetrics
from consumer.metrics.process import ConsumerMetrics

__all__ = ["FROM_COMMITTED_OFFSET", "ConsumerMetrics", "PipelineMetrics"]
