"""The program behind `jira-relay sandbox`: the real relay between simulated Jira, a real Kafka and destinations.

Enters: the options of the command, and a file of audit records if one is given.
Leaves: lines and a table on the terminal, a verdict, and with --keep a directory of logs and rows.
May not know: the cli. Producer and consumer run as processes of their own, as an operator runs them.
"""
