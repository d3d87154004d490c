"""What an archive lacks is named: deleted objects, corrupt ones, conditions, and what its destination has not delivered."""

import shutil

import pytest

from consumer.destinations.http.config import HttpConfig
from consumer.destinations.object_store.archive_listing import MAX_FOLDERS
from consumer.replay.archive_losses import united
from consumer.replay.archive_objects import ArchiveError, ArchiveUnavailableError
from consumer.replay.archive_opening import archives_for, require_archive
from tests.support.archives import (
    archive,
    archive_over,
    flows_over,
    lake,
    missing_of,
    offsets_of,
    read,
    read_to_error,
    some,
    write,
)
from tests.support.metered_store import MeteredStore
from tests.support.object_stores import NOON, opened

DAY_MS = 86_400_000


@pytest.fixture
async def written(tmp_path):
    """Objects with the offsets 10 to 19, 21 to 29 and 31 to 39 on one day, and 41 to 49 and 51 to 59 on the next two."""
    async with opened(f"file://{tmp_path}") as flows:
        for start in (10, 20, 30):
            await write(flows["live"], some(range(start + (start > 10), start + 10)))
        for day, start in enumerate((40, 50), 1):
            await write(flows["live"], some(range(start + 1, start + 10), collected=NOON + day * DAY_MS))
    return tmp_path


def path_of(directory, first):
    (found,) = directory.rglob(f"*-{first:020d}.parquet")
    return found


async def read_all(directory, start=10, end=60, *, delivered=60, **settings):
    async with archive(lake(f"file://{directory}", **settings), delivered) as opened_archive:
        return await read(opened_archive, start, end)


ALL = [offset for offset in range(10, 60) if offset not in (20, 30, 40, 50)]


async def test_holes_between_objects_that_follow_each_other_are_no_gap(written):
    """Transaction markers have offsets too."""
    chunks = await read_all(written)
    assert (offsets_of(chunks), missing_of(chunks)) == (ALL, [])
    assert chunks[-1].next_offset == 60


@pytest.mark.parametrize(
    ("deleted", "missing"),
    [(21, (20, 31)), (31, (30, 41)), (41, (40, 51))],
    ids=["between", "last of a day", "a day"],
)
async def test_an_object_that_was_deleted_between_others_is_missing(written, deleted, missing):
    """The object after it names it, also over midnight."""
    path_of(written, deleted).unlink()
    chunks = await read_all(written)
    assert missing_of(chunks) == [missing]
    assert offsets_of(chunks) == [offset for offset in ALL if not deleted <= offset < missing[1]]


async def test_several_deleted_objects_are_missing_in_one_range(written):
    for first in (21, 31):
        path_of(written, first).unlink()
    assert missing_of(await read_all(written)) == [(20, 41)]


async def test_a_deleted_object_at_the_end_of_the_range_is_missing(written):
    """The object behind the range names it."""
    path_of(written, 41).unlink()
    chunks = await read_all(written, end=45)
    assert (missing_of(chunks), chunks[-1].next_offset) == ([(40, 45)], 45)


async def test_what_the_store_deletes_by_age_is_the_beginning_of_the_archive(written):
    """A range from there on is complete, and one that begins before it says what is missing."""
    shutil.rmtree(path_of(written, 10).parent)
    assert missing_of(await read_all(written, start=41)) == []
    chunks = await read_all(written)
    assert (missing_of(chunks), offsets_of(chunks)) == ([(10, 41)], list(range(41, 50)) + list(range(51, 60)))


async def test_a_range_before_the_first_event_of_an_archive_is_missing(written):
    assert missing_of(await read_all(written, start=5)) == [(5, 10)]


async def test_an_empty_archive_has_nothing(tmp_path):
    chunks = await read_all(tmp_path, delivered=None)
    assert [(each.next_offset, each.missing) for each in chunks] == [(60, [(10, 60)])]


async def test_what_the_destination_has_not_delivered_is_waited_for(written):
    """A body of one route may wait for others while newer objects exist: nothing behind the commit is yielded."""
    async with archive(lake(f"file://{written}"), delivered=35) as reader:
        seen, error = await read_to_error(reader, 10, 60)
    assert isinstance(error, ArchiveUnavailableError)
    assert "up to offset 34, and offsets up to 59 are wanted" in str(error)
    assert offsets_of(seen) == [offset for offset in ALL if offset < 35]


async def test_where_no_group_tells_the_objects_decide(written):
    chunks = await read_all(written, end=70, delivered=None)
    assert (offsets_of(chunks), missing_of(chunks)) == (ALL, [(60, 70)])


def damage_footer(content):
    return content[:-40] + b"x" * 32 + content[-8:]


def damage_data(content):
    return content[:200] + bytes(200) + content[400:]


@pytest.mark.parametrize("damage", [damage_footer, damage_data, lambda _: b"", lambda content: content[:500]])
async def test_an_object_that_cannot_be_read_is_named(written, damage):
    """The records before it are yielded."""
    path = path_of(written, 31)
    path.write_bytes(damage(path.read_bytes()))
    async with archive(lake(f"file://{written}"), 60) as reader:
        seen, error = await read_to_error(reader, 10, 60)
    assert isinstance(error, ArchiveError)
    assert f"{path.name} of the archive lake cannot be replayed" in str(error)
    assert offsets_of(seen) == [offset for offset in ALL if offset < 30]


async def test_an_object_of_another_partition_under_its_name_is_named(written):
    shutil.copy(path_of(written, 10), path_of(written, 31))
    with pytest.raises(ArchiveError, match="its footer does not fit its name"):
        await read_all(written)


async def test_different_events_at_one_offset_are_an_error(written):
    """As of a topic that was made anew, with an archive of both."""
    async with opened(f"file://{written}") as flows:
        await write(flows["history"], some([15], summary="Other", id=7))
    with pytest.raises(ArchiveError, match="different events at offset 15"):
        await read_all(written)


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"format": "ocsf"}, "has the format ocsf"),
        ({"hide": {"remoteAddress": "drop"}}, "hides remoteAddress"),
        ({"where": "category = 'x'"}, "has only events that meet its condition"),
    ],
)
def test_an_archive_with_less_than_the_events_is_refused(tmp_path, settings, match):
    with pytest.raises(ArchiveError, match=match):
        require_archive("lake", lake(f"file://{tmp_path}", **settings))


def test_an_archive_with_the_condition_of_the_replay_lacks_nothing(tmp_path):
    config = lake(f"file://{tmp_path}", where="category = 'x'")
    assert require_archive("lake", config, ["category = 'x'"]) is config


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"hide": {"remoteAddress": "drop"}}, "the values of remoteAddress were hidden"),
        ({"where": "category = 'x'"}, "only events that meet the condition"),
    ],
)
async def test_an_object_of_former_settings_is_refused(tmp_path, settings, match):
    """Its footer has the rules under which it was written."""
    async with opened(f"file://{tmp_path}", **settings) as flows:
        await write(flows["live"], some(range(10, 20)))
    with pytest.raises(ArchiveError, match=match):
        await read_all(tmp_path, end=20)


async def test_a_location_with_thousands_of_folders_is_named(tmp_path):
    for number in range(MAX_FOLDERS + 1):
        (tmp_path / f"other-{number}").mkdir()
        (tmp_path / f"other-{number}" / "file").touch()
    with pytest.raises(ArchiveError, match="Move other data away"):
        await read_all(tmp_path)


async def test_a_store_that_is_away_is_asked_again_later(tmp_path):
    with pytest.raises(ArchiveUnavailableError, match="cannot be read"):
        await read_all(tmp_path / "unmounted")


@pytest.mark.parametrize(
    ("lost", "missing"),
    [
        ([(12, 15)], []),
        ([(18, 24)], [(20, 21)]),
        ([(25, 55)], [(30, 31), (40, 41), (50, 51)]),
        ([(55, 90)], []),
        ([(0, 12), (20, 21)], [(20, 21)]),
    ],
)
async def test_what_the_destination_has_lost_itself_is_missing_but_for_what_it_had(lost, missing):
    """Kafka had deleted offsets that the archive then passed over: no object shows it, the record of the loss does."""
    store = MeteredStore()
    for start in (10, 20, 30, 40, 50):
        await write(flows_over(store)["live"], some(range(start + (start > 10), start + 10)))
    chunks = await read(archive_over(store, 60, lost=lost), 10, 60)
    assert (offsets_of(chunks), missing_of(chunks)) == (ALL, missing)


def test_ranges_are_united():
    assert united([(5, 7), (1, 3), (3, 4), (6, 9), (9, 9)]) == [(1, 4), (5, 9)]


def test_an_archive_is_offered_only_where_a_replay_accepts_it(tmp_path):
    """The message about a lost range names one: not the destination itself, nor one that a start would refuse."""
    url = f"file://{tmp_path}"
    settings = {"whole": {}, "part": {"where": "category = 'x'"}, "ocsf": {"format": "ocsf"}, "hidden": {"hide": {"authorKey": "drop"}}}  # fmt: skip
    destinations = {name: lake(url, **each) for name, each in settings.items()}
    destinations["http"] = HttpConfig(kind="http", url="https://example.com/")
    assert archives_for(destinations, "http") == ["whole"]
    assert archives_for(destinations, "whole") == []
    destinations["http"] = HttpConfig(kind="http", url="https://example.com/", where="category = 'x'")
    assert archives_for(destinations, "http") == ["whole", "part"]
