"""A directory as an object store: files appear whole, under free names, and each fault names its remedy."""

import errno
import os
import time

import pytest

from consumer.destinations.object_store import directory as directory_module
from consumer.destinations.object_store.directory import UNFINISHED, DirectoryStore
from consumer.destinations.object_store.store import StoreFault
from consumer.destinations.outcome import Paused, Retry, Sent
from tests.contracts import destination_delivery as delivery
from tests.contracts.destination_case import Case
from tests.contracts.peer import Absent, Peer
from tests.support.object_stores import body, opened, uids
from tests.support.parquet_objects import stored_uids


def objects(root):
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*.parquet")}


def peer(root):
    return Peer(
        None,
        lambda: stored_uids(objects(root), "live/"),
        lambda: stored_uids(objects(root), "history/"),
        Absent("a directory judges no rows"),
        Absent("a directory holds no request"),
        Absent("a directory answers"),
        Absent("a directory has no login"),
        {},
    )


@pytest.mark.parametrize(
    "claim",
    [
        delivery.every_event_arrives_once_in_calm,
        delivery.a_kill_before_a_request_repeats_nothing,
        delivery.a_kill_before_a_commit_repeats_only_uncommitted_rows,
        delivery.the_counters_add_up,
    ],
    ids=lambda claim: claim.__name__,
)
async def test_a_pipeline_to_a_directory_keeps_the_contract(claim, tmp_path):
    async with opened(f"file://{tmp_path}") as flows:
        await claim(Case(None, peer(tmp_path), flows["live"]))


async def test_a_kill_before_a_commit_repeats_nothing(tmp_path, monkeypatch):
    """What other kinds may repeat, this one does not."""

    async def without_repeats(case, kafka, *, repeats):
        assert repeats
        await another(case, kafka, repeats=set())

    another = delivery._another_owner_delivers
    monkeypatch.setattr(delivery, "_another_owner_delivers", without_repeats)
    async with opened(f"file://{tmp_path}") as flows:
        case = Case(None, peer(tmp_path), flows["live"])
        await delivery.a_kill_before_a_commit_repeats_only_uncommitted_rows(case)


async def test_a_second_process_goes_on_behind_the_objects_of_the_first(tmp_path):
    """Its bodies end at other rows."""
    async with opened(f"file://{tmp_path}") as first:
        assert await first["live"].send(body(first["live"], range(10, 20))) == Sent()
    async with opened(f"file://{tmp_path}") as second:
        for part in (range(10, 14), range(14, 25)):
            assert await second["live"].send(body(second["live"], part)) == Sent()
    assert stored_uids(objects(tmp_path)) == uids(range(10, 25))


async def test_a_file_of_another_program_is_named_and_kept(tmp_path):
    async with opened(f"file://{tmp_path}") as flows:
        live = flows["live"]
        assert await live.send(body(live, [1])) == Sent()
        (path,) = tmp_path.rglob("*.parquet")
        path.write_bytes(b"of another program")
        outcome = await live.send(body(live, [1, 2]))
        assert isinstance(outcome, Paused)
        assert f"{path} is taken: it is not a Parquet file of the relay" in outcome.reason
        assert path.read_bytes() == b"of another program"
        path.unlink()
        assert await live.send(body(live, [1, 2])) == Sent()


async def test_a_topic_that_was_made_anew_needs_another_prefix(tmp_path):
    """Its offsets begin again, and the objects hold other events."""
    async with opened(f"file://{tmp_path}") as flows:
        assert await flows["live"].send(body(flows["live"], [0, 1, 2])) == Sent()
    async with opened(f"file://{tmp_path}") as flows:
        outcome = await flows["live"].send(body(flows["live"], [1, 2], organization="b.atlassian.net"))
        assert isinstance(outcome, Paused)
        assert "another event at offset 1" in outcome.reason
        assert "destinations.lake.location" in outcome.reason


async def test_a_probe_leaves_nothing(tmp_path):
    async with opened(f"file://{tmp_path}") as flows:
        assert await flows["live"].probe() == Sent()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


async def test_files_that_a_killed_process_left_are_deleted_after_a_day(tmp_path):
    folder = tmp_path / UNFINISHED
    folder.mkdir(parents=True)
    for name, age in (("old", 90_000), ("young", 3_600)):
        (folder / name).write_bytes(b"")
        os.utime(folder / name, (time.time() - age,) * 2)
    store = DirectoryStore(tmp_path, "lake")
    assert await store.create("live/day=2026-11-22/a", b"x")
    assert [path.name for path in folder.iterdir()] == ["young"]
    await store.close()


async def test_the_content_is_on_the_disk_before_the_name_and_the_name_before_the_answer(
    tmp_path, monkeypatch
):
    """A crash of the machine leaves no name without content, and no accepted object without a name."""
    steps = []

    def recorded(name):
        real = getattr(os, name)

        def call(*arguments, **options):
            steps.append(name)
            return real(*arguments, **options)

        return call

    store = DirectoryStore(tmp_path, "lake")
    await store.create("live/day=1/before", b"x")
    for name in ("fsync", "link"):
        monkeypatch.setattr(directory_module.os, name, recorded(name))
    assert await store.create("live/day=1/a", b"x")
    assert not await store.create("live/day=1/a", b"y")
    assert steps == ["fsync", "link", "fsync"] * 2
    assert (tmp_path / "live/day=1/a").read_bytes() == b"x"
    await store.close()


async def test_a_missing_directory_is_not_created(tmp_path):
    async with opened(f"file://{tmp_path}/unmounted") as flows:
        for outcome in (await flows["live"].probe(), await flows["live"].send(body(flows["live"], [1]))):
            assert isinstance(outcome, Paused)
            assert "The directory is absent. Mount or create it" in outcome.reason
    assert not (tmp_path / "unmounted").exists()


async def test_a_directory_that_vanishes_is_noticed_by_a_listing(tmp_path):
    store = DirectoryStore(tmp_path / "gone", "lake")
    with pytest.raises(StoreFault):
        _ = [name async for name in store.names("live", "")]
    await store.close()


@pytest.mark.parametrize(
    ("number", "outcome", "text"),
    [
        (errno.EACCES, Paused, "Give its user the right"),
        (errno.EPERM, Paused, "hard links"),
        (errno.ENOSPC, Paused, "is full"),
        (errno.EDQUOT, Paused, "quota"),
        (errno.EROFS, Paused, "read-only"),
        (errno.EXDEV, Paused, "several file systems"),
        (errno.ENAMETOOLONG, Paused, "too long"),
        (errno.ENOTDIR, Paused, "is a file"),
        (errno.EIO, Retry, "Input/output error"),
        (errno.ESTALE, Retry, "failed"),
    ],
)
async def test_each_error_of_the_file_system_has_an_outcome(number, outcome, text, tmp_path, monkeypatch):
    """A fault that an operator must mend pauses, with the remedy; another may pass."""

    def failing(*_):
        raise OSError(number, os.strerror(number))

    async with opened(f"file://{tmp_path}") as flows:
        monkeypatch.setattr(directory_module.os, "link", failing)
        found = await flows["live"].send(body(flows["live"], [1]))
        assert isinstance(found, outcome)
        assert text in found.reason
        monkeypatch.undo()
        assert await flows["live"].send(body(flows["live"], [1])) == Sent()
    assert list((tmp_path / UNFINISHED).iterdir()) == []


async def test_a_directory_under_the_name_of_an_object_is_named(tmp_path):
    async with opened(f"file://{tmp_path}") as flows:
        assert await flows["live"].send(body(flows["live"], [1])) == Sent()
        (path,) = tmp_path.rglob("*.parquet")
        path.unlink()
        path.mkdir()
    async with opened(f"file://{tmp_path}") as flows:
        outcome = await flows["live"].send(body(flows["live"], [1]))
        assert isinstance(outcome, Paused)
        assert "A directory has the name of an object" in outcome.reason


async def test_a_link_to_nothing_under_the_name_of_an_object_is_never_replaced(tmp_path):
    async with opened(f"file://{tmp_path}") as flows:
        assert await flows["live"].send(body(flows["live"], [1])) == Sent()
        (path,) = tmp_path.rglob("*.parquet")
        path.unlink()
        path.symlink_to(tmp_path / "nothing")
    async with opened(f"file://{tmp_path}") as flows:
        outcome = await flows["live"].send(body(flows["live"], [1]))
        assert isinstance(outcome, Retry)
        assert "move away what has the name" in outcome.reason
        assert path.is_symlink()
