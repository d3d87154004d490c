"""Azure Monitor's Logs Ingestion API, for each kind of destination that sends to a data collection rule.

Enters: settings of a rule and its streams, and a function that encodes events as JSON objects.
Leaves: destinations, one a stream; each request is a compressed JSON array, and one outcome.
May not know: Kafka, delivery, the columns of a table, a kind of destination.
"""
