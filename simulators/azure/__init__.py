"""Simulated Azure: token endpoints, the Logs Ingestion API, and the tables and rule of the relay's template.

Enters: token requests, ingestion calls, faults that a test adds, and `deploy/azure/azuredeploy.json`.
Leaves: tokens, Azure's answers, the rows as its tables store them, and the values lost behind a 204.
May not know: any room of the relay. Each limit names its source.
"""
