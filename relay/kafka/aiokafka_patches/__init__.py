"""Corrections of aiokafka 0.14, and the only private access to it.

Enters: a client, consumer or producer of aiokafka, right after its construction or start.
Leaves: the same object with the fault mended, and facts that aiokafka does not report.
It is below the other modules of relay.kafka, and imports only the names of relay.kafka itself. Check each patch before an upgrade of aiokafka.
"""
