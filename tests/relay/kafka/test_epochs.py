import struct

from relay.kafka import TopicPartition
from relay.kafka.epochs import LeaderEpochs

A, B = TopicPartition("events", 0), TopicPartition("events", 1)


def batches(*given, size=60, version=2):
    """As a fetch holds them: the first offset of each, and its leader's epoch."""
    heads = (struct.pack(">qiib", first, size, epoch, version) for first, epoch in given)
    return b"".join(head + bytes(size - 5) for head in heads)


def test_one_leader_goes_on():
    epochs = LeaderEpochs()
    assert epochs.goes_on(A, 0, batches((0, 3), (2, 3)))
    assert epochs.goes_on(A, 4, batches((4, 3)))
    assert epochs.goes_on(A, 5, b"")
    assert epochs.goes_on(A, 5, batches((5, 3)))


def test_a_new_leader_is_noticed_between_two_fetches():
    epochs = LeaderEpochs()
    assert epochs.goes_on(A, 0, batches((0, 3), (2, 3)))
    assert not epochs.goes_on(A, 4, batches((4, 5)))
    assert not epochs.goes_on(A, 4, batches((4, 5)))
    epochs.forget(A)
    assert epochs.goes_on(A, 4, batches((4, 5)))
    assert epochs.goes_on(A, 5, batches((5, 5)))


def test_a_new_leader_within_a_fetch_is_part_of_one_log():
    epochs = LeaderEpochs()
    assert epochs.goes_on(A, 0, batches((0, 3), (2, 5)))
    assert epochs.goes_on(A, 3, batches((3, 5)))


def test_what_was_fetched_and_not_given_out_may_be_fetched_again():
    epochs = LeaderEpochs()
    assert epochs.goes_on(A, 0, batches((0, 3), (2, 3), (4, 5), (6, 7)))
    assert epochs.goes_on(A, 3, batches((2, 3), (4, 5)))
    assert epochs.goes_on(A, 5, batches((4, 5)))
    assert epochs.goes_on(A, 6, batches((6, 7)))


def test_what_was_not_given_out_may_have_been_lost():
    epochs = LeaderEpochs()
    assert epochs.goes_on(A, 0, batches((0, 3), (4, 5), (6, 5)))
    assert epochs.goes_on(A, 3, batches((2, 3), (4, 9)))
    assert epochs.goes_on(A, 5, batches((4, 9)))


def test_a_batch_of_before_that_another_leader_wrote_is_noticed():
    epochs = LeaderEpochs()
    assert epochs.goes_on(A, 0, batches((0, 3), (2, 3)))
    assert not epochs.goes_on(A, 3, batches((2, 4)))


def test_partitions_are_apart():
    epochs = LeaderEpochs()
    assert epochs.goes_on(A, 0, batches((0, 3)))
    assert epochs.goes_on(B, 0, batches((0, 4)))
    assert not epochs.goes_on(B, 1, batches((1, 3)))


def test_a_batch_that_is_cut_off_counts_and_one_without_epochs_does_not():
    epochs = LeaderEpochs()
    assert epochs.goes_on(A, 0, batches((0, 3), (2, 3))[:-20])
    assert epochs.goes_on(A, 1, batches((1, 3))[:10])
    assert epochs.goes_on(A, 1, batches((1, 9), version=1))
    assert not epochs.goes_on(A, 2, batches((2, 4)))
