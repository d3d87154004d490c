"""Simulated S3, Azure Blob Storage and Google Cloud Storage, as far as a writer of objects meets them.

Enters: requests by path-style addresses, with the credential of each cloud.
Leaves: answers as the clouds document them, and the objects that were stored.
May not know: any code of the relay.
"""
