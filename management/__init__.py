"""All that an operator can do, written once for every interface: command line, page and API.

In: an operator's input in normal form, the settings, the topics, and a source's answers to a connection test.
Out: changes of the organizations topic with their entries in the change log, views of organizations and dead letters, check results.
It may not know how its results are shown: it prints nothing and knows no terminal, page or option.
It may use every room below it; `cli` and `sandbox` use it.
"""
