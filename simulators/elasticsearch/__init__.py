"""A simulated cluster of Elasticsearch or OpenSearch: the bulk API, and what is asked around it.

Enters: HTTP requests, checked as a cluster checks them: credential, form, size, and the rules for data streams.
Leaves: stored documents by name, answers that name each document, and answers after a script of faults.
It imports nothing but its neighbours.
"""
