"""Single events: found in Kafka, decoded, with their delivery to each destination; and the last ones, followed live.

In: an address, an id, a text, a time range. Out: events, with the ranges that were read. All work is bounded.
It changes nothing, and knows no page; `management.personal_data` hides what a page may not show at once.
"""
