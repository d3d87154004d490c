"""The command line `jira-relay`: commands over the services and over `management`.

In: arguments, files, standard input and the settings.
Out: text or one JSON document on standard output, errors as sentences on standard error, an exit code.
It decides nothing about organizations, topics or events: it parses, calls `management` or a service, and prints.
It may not import aiokafka, and it loads `embedded` and `sandbox` only in the commands that need them.
"""
