"""Credentials: where they are stored, and how they are protected.

Enters: organizations with an encrypted API key or a reference to one, the relay's keys, log text.
Leaves: API keys as SecretStr, text without secrets; failures are SecretError.
It knows neither Kafka nor a source. Only logins to Azure (azure.py) and secret stores (stores/) send requests.
"""
