"""Whether the silence of an organization is like it.

Enters: a checkpoint, which holds the hours that had events, and the instant up to which the source has answered.
Leaves: the Silence of relay/status/model.py.
It knows no Kafka, no clock and no source.
"""
