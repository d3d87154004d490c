"""The model of docs/scale.md follows the relay's own constants."""

import importlib.util
import re
import sys
from dataclasses import asdict, fields, replace
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def scale():
    spec = importlib.util.spec_from_file_location("benchmarks_scale", ROOT / "benchmarks/scale.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.fixture(scope="module")
def world(scale):
    return scale.DrawnWorld.draw(400, 8)


def small(scale):
    return scale.Load(400, 400 * 50_000.0), scale.Layout(8, 4, 2, 3)


def constants_in_page():
    table = (ROOT / "docs/scale.md").read_text("utf-8").partition("## The relay's constants")[2]
    return {
        name: float(value.replace(",", ""))
        for name, value in re.findall(r"^\| `(\w+)` \| ([\d.,]+) \|", table, re.MULTILINE)
    }


def test_the_page_has_the_constants_of_the_code(scale):
    """A change of a default or a bound changes the model, and the page must say so."""
    assert constants_in_page() == {name: float(value) for name, value in asdict(scale.CONSTANTS).items()}


def test_each_constant_and_each_cost_changes_the_result(scale, world):
    """A constant that the model names and does not use would make the page lie."""
    load, layout = small(scale)
    before = scale.uses(load, layout, world)
    for what in (scale.CONSTANTS, scale.COSTS):
        for one in fields(what):
            changed = replace(what, **{one.name: 2 * getattr(what, one.name)})
            pair = (changed, scale.COSTS) if what is scale.CONSTANTS else (scale.CONSTANTS, changed)
            assert scale.uses(load, layout, world, *pair) != before, one.name


def test_a_shard_has_the_organizations_that_the_relay_puts_there(scale, world):
    assert world.shards[7] == scale.partition_of("site-7.atlassian.net", 8)
    assert len(set(world.shards)) == 8


def test_the_first_limit_to_break_is_named(scale, world):
    """Twice the load uses twice the bytes of a rule; the smallest part that breaks a limit is found."""
    load, layout = small(scale)
    grown = replace(load, events_per_day=100 * load.events_per_day)
    part, use = scale.first_to_break(grown, layout, world)
    assert use.share > 1
    assert use.name in {one.name for one in scale.uses(grown, layout, world)}
    assert scale.first_to_break(replace(load, events_per_day=1.0), layout, world) is None
    assert 0 < part <= 1
