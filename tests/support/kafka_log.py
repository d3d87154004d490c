from relay.kafka.aiokafka_patches.fetch_validation import batches_of


def flip_a_bit(log, offset):
    """Of the batch in which this offset lies."""
    data = log.read_bytes()
    (batch,) = (each for each in batches_of(data) if each.first <= offset <= each.last)
    with log.open("r+b") as file:
        file.seek(batch.start + 70)
        file.write(bytes([data[batch.start + 70] ^ 1]))
