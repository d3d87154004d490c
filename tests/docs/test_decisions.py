import re
from pathlib import Path

PAGES = Path(__file__).parents[2] / "docs/decisions"


def index():
    return (PAGES / "README.md").read_text("utf-8")


def test_the_index_lists_every_decision_by_its_title():
    """Each page has one line in the index, under its number and its title, in order."""
    pages = [
        (str(int(page.name[:4])), page.read_text("utf-8").split("\n", 1)[0].split(". ", 1)[1], page.name)
        for page in sorted(PAGES.glob("0*.md"))
    ]

    assert re.findall(r"^\| (\d+) \| \[(.+)\]\((\S+)\) \| .+\. \|$", index(), re.MULTILINE) == pages


def test_a_number_without_a_page_is_explained():
    """Where numbers have no page, the index says that they were not used."""
    used = {int(page.name[:4]) for page in PAGES.glob("0*.md")}
    ranges = re.findall(r"^\| (\d+)(?: to (\d+))? \| not used \|", index(), re.MULTILINE)

    not_used = {number for first, last in ranges for number in range(int(first), int(last or first) + 1)}

    assert used | not_used == set(range(1, max(used) + 1))
    assert not used & not_used
