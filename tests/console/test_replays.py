"""The pages of replays without a Kafka: the history, one replay, and the form with its refusals."""

from dataclasses import replace

import pytest

from console.plans import PLAN_MS, ConfirmedPlan, read_plan, sign_plan
from management.organizations.validation import InputError
from management.replay.jobs import Replays
from management.replay.live_replays import ReplaySnapshot
from management.replay.view import ReplayView
from management.settings import load
from relay.errors import RelayError
from relay.replays.job import KnownReplay, ReplayPlace, ReplayProgress, ReplayRange, ReplaySkip
from tests.support.console import open_console
from tests.support.replays import replay_job
from tests.support.settings import SENTINEL
from tests.support.views import NOW

JOB = replay_job(
    requested_at=NOW - 600_000,
    wished_at=NOW - 600_000,
    from_ms=NOW - 7_200_000,
    to_ms=NOW - 3_600_000,
    ranges=(ReplayRange("jira-audit.events", 0, 100, 300),),
)
RUNNING = ReplayProgress(
    JOB.id,
    "running",
    NOW - 500_000,
    NOW - 1_000,
    "consume/host-1",
    NOW - 500_000,
    sent=1_234,
    skipped=2,
    places=(ReplayPlace("jira-audit.events", 0, 150, ""),),
    skips=(ReplaySkip("<b>no event</b>", 2),),
)


@pytest.fixture
async def console():
    async with open_console(destinations=load(environ=SENTINEL).destinations) as world:
        await world.sign_in()
        yield world


def show(console, *known, **fields):
    console.show(replays=ReplaySnapshot(known, **fields))


async def test_an_empty_history_says_what_a_replay_is_for(console):
    """Nothing started, nothing read yet and nothing readable are three different pages."""
    show(console)
    assert "No replay was started yet" in await console.page("/replays")
    show(console, failure="jira-audit.replays does not exist.")
    page = await console.page("/replays")
    assert "jira-audit.replays does not exist." in page
    assert "No replay was started yet" not in page
    assert "cannot be read now" in await console.page("/replay?id=20261130-071500-ab12", 503)
    console.show(as_of=None)
    assert "The topics are being read" in await console.page("/replays")
    assert "There is no replay" not in await console.page("/replay?id=x", 503)


async def test_a_running_replay_shows_its_progress_and_can_be_paused_and_cancelled(console):
    """The list and the page show how far it is, and the page what it has left out, as text."""
    show(console, KnownReplay(JOB, RUNNING))
    listed, page = await console.page("/replays"), await console.page(f"/replay?id={JOB.id}")
    for text in (listed, page):
        assert 'value="250"' in text
        assert "25.0 %" in text
        assert "1,234 sent, 2 skipped" in text
        assert "24 min 57 s left" in text
    assert "&lt;b&gt;no event&lt;/b&gt;" in page
    assert 'value="paused"' in page
    assert "Cancel the replay for good" in page


@pytest.mark.parametrize(
    ("wished", "progress", "shown", "offered"),
    [
        ("running", None, "waiting", "paused"),
        ("paused", replace(RUNNING, state="paused"), "paused", "running"),
        ("running", replace(RUNNING, state="done", finished_at=NOW), "is done: 1,234 sent", None),
        ("running", replace(RUNNING, state="failed", reason="It broke."), "It broke.", None),
        ("cancelled", RUNNING, "cancelling", None),
    ],
)
async def test_each_state_offers_what_is_possible(console, wished, progress, shown, offered):
    """An ended replay, and one that is being cancelled, has no button."""
    job = replace(JOB, wished=wished, wished_at=NOW - 1_000)
    show(console, KnownReplay(job, progress))
    page = await console.page(f"/replay?id={JOB.id}")
    assert shown in page
    offers = [each for each in ("paused", "running", "cancelled") if f'name="wish" value="{each}"' in page]
    assert offers == ([] if offered is None else [offered, "cancelled"])


async def test_the_history_is_shown_by_destination_and_page(console):
    """Fifty on a page, the newest first, as the snapshot has them; a page beyond the last one is the last one."""
    jobs = [
        KnownReplay(replay_job(id=f"2026-{120 - number:03}", destination="soc" if number % 2 else "siem"))
        for number in range(120)
    ]
    show(console, *jobs)
    assert (await console.page("/replays")).count('href="/replay?id=') == 50
    assert "2026-001" in await console.page("/replays?page=99")
    page = await console.page("/replays?destination=soc&page=2")
    assert page.count('href="/replay?id=') == 10
    assert "Page 2 of 2" in page
    assert "There is no replay of other" in await console.page("/replays?destination=other")


async def send(console, path, **fields):
    return await console.client.post(path, data=await console.form("/replays/start") | fields)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({}, "give <code>from</code>"),
        ({"from": "soon"}, "soon is no time"),
        ({"from": "2026-01-02", "to": "2026-01-01"}, "The window is empty"),
        ({"from": "2026-01-01", "rate": "many"}, "rate must be a whole number"),
        ({"from": "2026-01-01", "by": "size"}, "by must be"),
        ({"from": "2026-01-01", "where": "name ="}, "The condition of <code>where</code>"),
        ({"from": "2026-01-01", "unknown": "1"}, "is not a field"),
        ({"event": "acme"}, "names no event"),
        ({"from": "2026-01-01", "destination": "other"}, "no destination other"),
        ({"lost": "events/0/1", "from": "2026-01-01"}, "has its window"),
    ],
)
async def test_what_cannot_be_planned_is_refused_and_stays_in_the_form(console, fields, reason):
    """Each refusal is a sentence above the form, which keeps what was typed."""
    show(console)
    response = await send(console, "/replays/plan", **({"destination": "sentinel"} | fields))
    assert response.status_code in {404, 422}
    assert reason in response.text
    assert all(
        value in response.text
        for name, value in fields.items()
        if name not in {"unknown", "by", "destination"} and not (name == "from" and "lost" in fields)
    )


async def test_a_plan_needs_kafka_and_says_so(console):
    """Without Kafka the form names the cause."""
    show(console)
    response = await send(console, "/replays/plan", destination="sentinel", **{"from": "2026-01-01"})
    assert response.status_code == 503
    assert "127.0.0.1:1" in response.text


async def test_a_plan_is_of_this_console_and_of_this_hour(console):
    """A plan that was changed, made with another token, or is old starts nothing."""
    context = console.context
    confirmed = ConfirmedPlan("replay", (replace(JOB, requested_at=NOW),), ("3 events",))
    plan = sign_plan(context, confirmed)
    assert read_plan(context, plan, "replay") == confirmed
    for wrong in ("", "a.b", plan[:-2], context.access.sign_plan(["other", "x", "y"])):
        with pytest.raises(InputError, match="not made by this console"):
            read_plan(context, wrong, "replay")
    console.clock.ms = NOW + PLAN_MS + 1
    with pytest.raises(InputError, match="older than an hour"):
        read_plan(context, plan, "replay")
    response = await send(console, "/replays/start", plan=plan)
    assert (response.status_code, "older than an hour" in response.text) == (422, True)


async def test_events_for_live_need_the_name_of_the_destination(console):
    """The plan is shown again, with its count, and can still be confirmed."""
    confirmed = ConfirmedPlan(
        "replay", (replace(JOB, requested_at=NOW, to_live=True),), ("3 events would be sent.",)
    )
    response = await send(
        console, "/replays/start", plan=sign_plan(console.context, confirmed), confirmation="other"
    )
    assert response.status_code == 422
    assert "Type sentinel to confirm" in response.text
    assert "3 events would be sent." in response.text
    assert sign_plan(console.context, confirmed) in response.text


async def test_the_overview_lists_what_goes_on(console):
    """Ended replays are left out; times in sentences are for the reader's zone, and commands stay as they are."""
    ended = KnownReplay(replay_job(id="20261130-000000-0000"), replace(RUNNING, state="done"))
    waiting = KnownReplay(replace(JOB, id="20261130-111111-1111"), None)
    show(console, waiting, KnownReplay(JOB, RUNNING), ended)
    page = await console.page("/")
    assert page.count('href="/replay?id=') == 2
    assert "No consumer has taken it yet" in page
    assert "<code>jira-relay consume</code>" in page
    listed = await console.page("/replays")
    assert '<time class="instant" datetime="2026-09-21T12:13:20.000Z"' in listed


async def test_a_second_confirmation_starts_what_the_first_one_did_not(console_with_sentinel, monkeypatch):
    """Kafka failed between two jobs of one plan: the page said so, and the person confirms again."""
    console, written = console_with_sentinel, []
    first, second = (
        replay_job(id=f"20261130-071500-ab1{n}", content="dead-letters", requested_at=NOW) for n in (1, 2)
    )

    async def read(_connection, _now_ms):
        return Replays([ReplayView(KnownReplay(job), NOW) for job in written], [])

    async def submit(_connection, job):
        if written == [first] and not allowed:
            raise RelayError(f"The replay {job.id} was not started.")
        written.append(replace(job, requested_by=first.requested_by, wished_by=first.wished_by))

    async def no_conflict(_connection, planned, _now_ms):
        assert [each.job.id for each in planned] == missing

    allowed, missing = False, [first.id, second.id]
    monkeypatch.setattr("console.pages.planned_jobs.read_replays", read)
    monkeypatch.setattr("console.pages.planned_jobs.submit", submit)
    monkeypatch.setattr("console.pages.dead_letter_redrive.require_no_other", no_conflict)
    form = "/dead-letters/redrive"
    plan = sign_plan(console.context, ConfirmedPlan("redrive", (first, second), ("x", "y")))
    fields = await console.form(form) | {"plan": plan}
    failed = await console.client.post(form, data=fields)
    assert f"The replay {second.id} was not started" in failed.text
    allowed, missing = True, [second.id]
    for words in (f"The replay {second.id} to sentinel is started", "started already"):
        await console.client.post(form, data=fields)
        console.show(replays=ReplaySnapshot([KnownReplay(job) for job in written]))
        assert words in await console.page("/replays")
    assert [job.id for job in written] == [first.id, second.id]
