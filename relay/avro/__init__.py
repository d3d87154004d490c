"""Avro: records to bytes and back.

Enters: Avro schemas as parsed JSON, and records as dicts.
Leaves: messages with the frame that names their schema, and records in the shape of the reader's schema.
It knows no topic, no registry and no meaning of any field.
"""
