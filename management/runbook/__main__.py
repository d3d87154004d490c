"""Print the runbook: `python -m management.runbook > docs/operations/runbook.md`."""

import sys

from management.runbook.page import render_page

sys.stdout.write(render_page())
