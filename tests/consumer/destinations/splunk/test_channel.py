"""Which acknowledgement is believed: played against a node that restarts, loses answers, and gives old ids to new requests."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from consumer.destinations.splunk.channel import Channel


class Ends:
    """What became of each request."""

    def __init__(self):
        self.ended = {}

    def settle(self, name):
        def settle(end):
            assert name not in self.ended
            self.ended[name] = end

        return settle


def waiting_channel(*ids):
    """Return a channel in which requests 0, 1, … wait, named by their ids."""
    channel, ends = Channel("guid"), Ends()
    for ack_id in ids:
        channel.answered(channel.begin(), ack_id, ends.settle(ack_id))
    return channel, ends


def test_an_acknowledged_request_is_indexed():
    channel, ends = waiting_channel(0, 1, 2)
    assert channel.waiting == [0, 1, 2]
    channel.acknowledge([1, 7])
    assert (ends.ended, channel.waiting, channel.usable) == ({1: "indexed"}, [0, 2], True)


def test_an_id_that_comes_again_proves_a_restart():
    """What waited may not be indexed; the request that showed it is sent again too, and the channel is given up."""
    channel, ends = waiting_channel(0, 1)
    channel.acknowledge([0])
    channel.answered(channel.begin(), 0, ends.settle("new"))
    assert ends.ended == {0: "indexed", 1: "forgotten", "new": "forgotten"}
    assert not channel.usable
    assert channel.is_done


def test_an_acknowledgement_waits_for_requests_under_way():
    """One of them may be the new request 0 of a restarted node, which this acknowledgement is for."""
    channel, ends = waiting_channel(0)
    post, other = channel.begin(), channel.begin()
    channel.acknowledge([0])
    assert (ends.ended, channel.waiting) == ({}, [])
    channel.refused(other)
    assert ends.ended == {}
    channel.answered(post, 0, ends.settle("new"))
    assert ends.ended == {0: "forgotten", "new": "forgotten"}


def test_an_acknowledgement_is_believed_when_requests_under_way_get_new_ids():
    channel, ends = waiting_channel(0)
    post = channel.begin()
    channel.acknowledge([0])
    channel.answered(post, 1, ends.settle(1))
    assert (ends.ended, channel.waiting) == ({0: "indexed"}, [1])


def test_a_small_id_is_not_believed_after_a_request_without_an_answer():
    """The lost request may have been number 0 of a restarted node; number 1 cannot be, since nobody has seen another 0."""
    channel, ends = waiting_channel(0, 1)
    channel.unanswered(channel.begin())
    assert not channel.usable
    channel.acknowledge([0, 1])
    assert ends.ended == {0: "forgotten", 1: "indexed"}


def test_an_id_of_a_refused_request_proves_a_restart_too():
    """A node that stops at a bad event has taken those before it, under an id."""
    channel, ends = waiting_channel(0, 1)
    channel.refused(channel.begin(), 2)
    assert (ends.ended, channel.usable) == ({}, True)
    channel.acknowledge([1])
    channel.refused(channel.begin(), 2)
    channel.acknowledge([0])
    assert (ends.ended, channel.usable) == ({0: "forgotten", 1: "indexed"}, False)


def test_a_forgotten_channel_and_a_late_acknowledgement_end_the_wait():
    channel, ends = waiting_channel(0, 1)
    late = ends.settle("x")
    channel.give_up(0, late)
    assert ends.ended == {}
    channel.lost()
    assert ends.ended == {0: "forgotten", 1: "forgotten"}
    channel, ends = Channel("guid"), Ends()
    settle = ends.settle(5)
    channel.answered(channel.begin(), 5, settle)
    channel.give_up(5, settle)
    channel.give_up(5, settle)
    assert (ends.ended, channel.usable) == ({5: "late"}, False)


class ANodeThatForgets(RuleBasedStateMachine):
    """Whatever restarts, lost answers and orders happen: no request is called indexed whose events the node has lost."""

    def __init__(self):
        super().__init__()
        self.channel, self.ends = Channel("guid"), Ends()
        self.next_id, self.count = 0, 0
        self.stored, self.indexed = {}, set()
        self.under_way = {}
        self.told = []

    @rule()
    def post(self):
        """The node takes a request, and its answer is under way. The relay begins none in a channel that is not usable."""
        if not self.channel.usable:
            return
        name, self.count = self.count, self.count + 1
        self.under_way[name] = (self.channel.begin(), self.next_id)
        self.stored[self.next_id] = name
        self.next_id += 1

    @rule(data=st.data())
    def answer_arrives(self, data):
        if self.under_way:
            name = data.draw(st.sampled_from(sorted(self.under_way)))
            post, ack_id = self.under_way.pop(name)
            self.channel.answered(post, ack_id, self.ends.settle(name))

    @rule(data=st.data())
    def answer_is_lost(self, data):
        if self.under_way:
            post, _ = self.under_way.pop(data.draw(st.sampled_from(sorted(self.under_way))))
            self.channel.unanswered(post)

    @rule()
    def everything_stored_is_indexed(self):
        self.indexed |= set(self.stored.values())

    @rule()
    def restart(self):
        """What is not indexed is lost, and ids begin again."""
        self.stored, self.next_id = {}, 0

    @rule()
    def poll(self):
        """The node tells which of the ids are indexed; the answer may come later."""
        self.told.append([each for each in self.channel.waiting if self.stored.get(each) in self.indexed])
        self.channel.acknowledge(self.told.pop())

    @invariant()
    def no_lost_request_is_called_indexed(self):
        assert {name for name, end in self.ends.ended.items() if end == "indexed"} <= self.indexed


ANodeThatForgets.TestCase.settings = settings(max_examples=80, stateful_step_count=25)
test_a_node_that_forgets = ANodeThatForgets.TestCase
