"""The calendar of days, on pages and by the API."""

import re
from dataclasses import replace
from types import SimpleNamespace

import pytest

from console.pages.completeness import weeks_of
from management.completeness.calendar import CalendarDay
from management.completeness.export import StoredSeal
from management.completeness.repair import RepairPlan, RepairStep
from management.completeness.seal_index import SealIndex
from management.completeness.show import days_between
from management.topic_follower import ReadState
from relay.errors import RelayError
from relay.timestamps import DAY_MS, day_of
from tests.support.console import TOKEN
from tests.support.day_seals import KEY, OLD_KEY, Sealed, account, seal_messages
from tests.support.views import NOW, organization

BEARER = {"Authorization": f"Bearer {TOKEN}"}
STEP = RepairStep("replay", "sentinel gets event 2 again.")
DAYS = days_between(day_of(NOW - 12 * DAY_MS), day_of(NOW))


def sealed_days():
    """Return three sealed days: complete, differing, and complete once it was sealed again with another key."""
    found = Sealed().seal(account(DAYS[0])).seal(account(DAYS[1], ledger=frozenset({1, 2, 3, 8})))
    return found.seal(account(DAYS[2], ())).seal(account(DAYS[2], (4, 5)), OLD_KEY, "A late record.")


def show_seals(console, sealed, monkeypatch):
    """Make these the seals, as if they had just been read."""
    stored = [each for chain in sealed.seals.values() for each in chain]

    async def read_day(_connection, offsets):
        return [stored[offset] for offset in offsets]

    console.context.seals.index = index = SealIndex()
    for each in seal_messages(sealed):
        index.take(each)
    console.context.seals._follower.state = ReadState(NOW)
    console.context.seals._follower._is_fresh = lambda: True
    monkeypatch.setattr("management.completeness.day_editions.read_day", read_day)
    return stored


@pytest.fixture
async def days(console, monkeypatch):
    console.show([organization("acme", added=NOW - 12 * DAY_MS), organization("beta", added=NOW)])
    await console.sign_in()
    console.stored = show_seals(console, sealed_days(), monkeypatch)
    return console


async def test_the_calendar_says_the_state_of_each_day_in_words(days):
    """Each day is a link with its state as text, so no color is needed; the differing organization is first."""
    page = await days.page("/completeness/organization?name=acme")
    for day, word in zip(DAYS[:4], ("complete", "differing", "complete", "not sealed"), strict=True):
        assert f'day={day}" title="{day}: {word}">' in page
        assert f'<span class="visually-hidden"> ({day}): {word}</span>' in page
    assert page.count('class="visually-hidden"> (') == 180
    assert "The last sealed day is" in page
    overview = await days.page("/completeness")
    assert overview.index(">acme<") < overview.index(">beta<")
    assert ">acme<" not in await days.page("/completeness?q=BET")


async def test_a_day_opens_to_its_account(days):
    """Counts of each hop, ids of each difference, and every edition with its reason and the key that signed it."""
    page = await days.page(f"/completeness/day?name=acme&day={DAYS[1]}")
    assert "The ledger holds events that their topic lacks" in page
    assert '<a href="/events?organization=acme&amp;id=8">8</a>' in page
    twice = await days.page(f"/completeness/day?name=acme&day={DAYS[2]}")
    assert "A late record." in twice
    assert twice.count("valid, by the key") == 2
    assert OLD_KEY.name in twice
    assert KEY.name in twice
    first = days.stored[0]
    days.stored[0] = StoredSeal(first.signed, {**first.statement, "key": OLD_KEY.name})
    forged = await days.page(f"/completeness/day?name=acme&day={DAYS[0]}")
    assert "<strong>wrong</strong>" in forged
    assert "<strong>wrong</strong>" not in page
    empty = await days.page(f"/completeness/day?name=acme&day={DAYS[3]}")
    assert "no seal and no account" in empty
    assert "over, and not sealed: nothing seals days, or the organization is behind" in empty


async def test_the_api_gives_what_the_pages_show(days):
    """A day has its statements as they were signed."""

    async def get(path, code=200):
        response = await days.client.get(f"/api/v1/completeness{path}", headers=BEARER)
        assert response.status_code == code, response.text
        return response.json()

    first, second = await get("")
    assert (first["organization"], first["states"]["differing"], second["last_sealed"]) == ("acme", 1, None)
    shown = {each["day"]: each for each in (await get("/acme"))["days"]}
    assert shown[DAYS[2]] == {"day": DAYS[2], "state": "complete", "edition": 2, "events": 2}
    day = await get(f"/acme/{DAYS[2]}")
    assert [each["signature_valid"] for each in day["records"]] == [True, True]
    assert [each["statement"]["edition"] for each in day["records"]] == [2, 1]
    assert (await get("/nobody", 404))["type"].endswith("unknown-organization")
    await get("/acme/2026-13-01", 422)


async def test_what_cannot_be_read_is_said(days, monkeypatch):
    """Neither a broken chain nor a Kafka that does not answer looks complete."""
    broken = sealed_days()
    del broken.seals["acme"][1]
    show_seals(days, broken, monkeypatch)
    page = await days.page("/completeness/organization?name=acme")
    assert "The chain of seals is broken" in page
    assert f'title="{DAYS[0]}: broken chain"' in page

    async def fails(*_):
        raise RelayError("Kafka is gone.")

    monkeypatch.setattr("management.completeness.day_editions.read_day", fails)
    assert "Kafka is gone." in await days.page(f"/completeness/day?name=acme&day={DAYS[0]}")
    await days.page("/completeness/day?name=acme&day=2026-02-30", 422)
    unnamed = await days.page("/completeness/day?name=acme", 422)
    assert "No day is named" in unnamed
    assert '<a href="/completeness/organization?name=acme">Choose a day of acme</a>' in unnamed
    await days.page("/completeness/organization?name=nobody", 404)
    days.context.seals._follower.state = ReadState(None, "It is gone.")
    for path in ("", "/organization?name=acme", f"/day?name=acme&day={DAYS[6]}"):
        page = await days.page(f"/completeness{path}")
        assert "No day is known yet." in page
        assert 'class="state' not in page
    response = await days.client.get("/api/v1/completeness", headers=BEARER)
    assert (response.status_code, response.json()["detail"]) == (503, "It is gone.")


def test_weeks_begin_on_monday_and_the_newest_is_first():
    """Days outside of the calendar are left free."""
    weeks = weeks_of([CalendarDay(day, "complete") for day in days_between("2026-11-04", "2026-11-10")])
    assert [each.monday for each in weeks] == ["2026-11-09", "2026-11-02"]
    assert [each and each.day for each in weeks[1].days[:3]] == [None, None, "2026-11-04"]


@pytest.fixture
def repairs(days, monkeypatch):
    """What was repaired, by whom; `plan` is what the day asks for."""
    found = SimpleNamespace(done=[], plan=RepairPlan("acme", DAYS[1], "differing", ["It differs."], [STEP]))

    async def plan(*_):
        return found.plan

    async def run(context, planned):
        found.done.append((context.who, planned.steps[0].text, context.to_live))
        return ["sentinel gets 1 event again."]

    for module in ("console.pages.completeness_repair", "console.api.completeness"):
        monkeypatch.setattr(f"{module}.run_repair", run)
    monkeypatch.setattr("console.pages.completeness_repair.plan_repair", plan)
    object.__setattr__(days.context, "audit_logs", lambda _: None)
    return found


async def test_a_repair_is_planned_and_then_confirmed(days, repairs):
    """Exactly what was shown is started; a plan that another day or a changed day has is refused."""
    day = {"name": "acme", "day": DAYS[1]} | await days.form(f"/completeness/day?name=acme&day={DAYS[1]}")
    shown = (await days.client.post("/completeness/repair/plan", data=day)).text
    assert STEP.text in shown
    plan = re.search(r'name="plan" value="([^"]+)"', shown)[1]
    other = await days.client.post("/completeness/repair", data=day | {"plan": plan, "to_live": "1"})
    assert "The day has changed since the plan was made" in other.text
    assert (
        "not made by this console"
        in (await days.client.post("/completeness/repair", data=day | {"plan": "forged"})).text
    )
    assert repairs.done == []
    done = await days.client.post("/completeness/repair", data=day | {"plan": plan})
    assert (done.status_code, done.headers["Location"]) == (303, f"/completeness/day?name=acme&day={DAYS[1]}")
    assert repairs.done == [("Anna (console)", STEP.text, False)]
    repairs.plan = replace(repairs.plan, state="unproven", steps=[])
    empty = (await days.client.post("/completeness/repair/plan", data=day)).text
    assert "no job mends it" in empty
    assert "the hops agree" not in empty


async def test_a_script_repairs_a_day(days, repairs):
    """A dry run plans alone; a wrong body and an unknown organization are refused."""

    async def post(name, body, code=200):
        path = f"/api/v1/completeness/{name}/{DAYS[1]}/repair"
        response = await days.client.post(path, headers=BEARER, json=body)
        assert response.status_code == code, response.text
        return response.json()

    planned = await post("acme", {"dry_run": True})
    assert (planned["done"], planned["steps"][0]["step"], repairs.done) == ([], "replay", [])
    assert (await post("acme", {"to_live": True}))["done"] == ["sentinel gets 1 event again."]
    assert repairs.done == [("API token (console)", STEP.text, True)]
    await post("acme", {"dry": True}, 422)
    await post("nobody", {}, 404)
