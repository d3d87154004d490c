"""Simulated peers of the relay: a folder for each source and destination, on loopback, with scripts of faults.

Enters: HTTP requests as the relay sends them, and records and faults that a test or the sandbox adds.
Leaves: answers as the real peer gives them, a log of requests, and the stored records and rows.
May not know: any room of the relay, since shared code would share its bugs. Schema files are the exception.
"""
