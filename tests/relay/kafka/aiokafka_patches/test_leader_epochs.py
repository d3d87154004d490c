from relay.kafka import TopicPartition
from relay.kafka.aiokafka_patches.leader_epochs import LeaderEpochs

A, B = TopicPartition("events", 0), TopicPartition("events", 1)


def test_batches_of_one_leader_are_accepted():
    epochs = LeaderEpochs()
    assert epochs.accept(A, 0, [(0, 3), (2, 3)])
    assert epochs.accept(A, 4, [(4, 3)])
    assert epochs.accept(A, 5, [])
    assert epochs.accept(A, 5, [(5, 3)])


def test_a_new_leader_between_two_fetches_is_noticed():
    epochs = LeaderEpochs()
    assert epochs.accept(A, 0, [(0, 3), (2, 3)])
    assert not epochs.accept(A, 4, [(4, 5)])
    assert not epochs.accept(A, 4, [(4, 5)])
    epochs.forget(A)
    assert epochs.accept(A, 4, [(4, 5)])
    assert epochs.accept(A, 5, [(5, 5)])


def test_a_new_leader_within_one_fetch_is_accepted():
    epochs = LeaderEpochs()
    assert epochs.accept(A, 0, [(0, 3), (2, 5)])
    assert epochs.accept(A, 3, [(3, 5)])


def test_batches_that_were_not_handed_over_may_be_fetched_again():
    epochs = LeaderEpochs()
    assert epochs.accept(A, 0, [(0, 3), (2, 3), (4, 5), (6, 7)])
    assert epochs.accept(A, 3, [(2, 3), (4, 5)])
    assert epochs.accept(A, 5, [(4, 5)])
    assert epochs.accept(A, 6, [(6, 7)])


def test_batches_that_were_not_handed_over_may_be_lost():
    epochs = LeaderEpochs()
    assert epochs.accept(A, 0, [(0, 3), (4, 5), (6, 5)])
    assert epochs.accept(A, 3, [(2, 3), (4, 9)])
    assert epochs.accept(A, 5, [(4, 9)])


def test_an_earlier_batch_of_another_leader_is_noticed():
    epochs = LeaderEpochs()
    assert epochs.accept(A, 0, [(0, 3), (2, 3)])
    assert not epochs.accept(A, 3, [(2, 4)])


def test_partitions_are_independent():
    epochs = LeaderEpochs()
    assert epochs.accept(A, 0, [(0, 3)])
    assert epochs.accept(B, 0, [(0, 4)])
    assert not epochs.accept(B, 1, [(1, 3)])
