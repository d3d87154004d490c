"""Simulated Jira Cloud: sites with an audit log, tokens, rate limits, and the gateway for scoped tokens.

Enters: requests to the audit log, `myself`, `serverInfo` and `tenant_info`, and records that a test adds.
Leaves: pages of audit records, Jira's errors, a log of requests, and every record that was created.
May not know: any room of the relay. Sources are Atlassian's REST specification and observed answers.
"""
