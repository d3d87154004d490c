"""Corruption of a partition's log on disk."""

from pathlib import Path

from relay.kafka.aiokafka_patches.record_batches import parse_batches


def flip_a_bit(log: Path, offset: int) -> None:
    """Flip a bit in the batch that holds this offset."""
    data = log.read_bytes()
    (batch,) = (each for each in parse_batches(data) if each.base_offset <= offset <= each.last_offset)
    with log.open("r+b") as file:
        file.seek(batch.start + 70)
        file.write(bytes([data[batch.start + 70] ^ 1]))
