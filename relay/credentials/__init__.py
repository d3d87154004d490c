"""Credentials: where they are stored, how they are protected, and where they may be sent.

Enters: organizations with an encrypted API key or a reference to one, the relay's keys, URLs, log text.
Leaves: API keys as SecretStr, verified origins, text without secrets; failures are SecretError or UrlError.
It sends no request and knows neither Kafka nor Jira.
"""
