"""The runbook: the meaning and the first command of each state and error that the relay reports.

In: the states and errors of the code, read from its syntax (`code_texts.py`), and the explanations (`explanations.py`).
Out: the page docs/operations/runbook.md, which `python -m management.runbook` prints.
An error's own text is where the code makes it; only its explanation is here.
"""
