import asyncio
from functools import partial
from pathlib import Path

import pytest

from embedded import EmbeddedKafkaError, cache, ports
from embedded.repository import DownloadTiming
from tests.support.maven_mirror import make_artifact, running_repository

JAR = b"PK" + bytes(range(256)) * 400


fetch = partial(cache.fetch, timing=DownloadTiming(retry_delays_seconds=(0, 0)))


@pytest.fixture
async def mirror():
    async with running_repository() as running:
        yield running


def names(folder):
    return sorted(path.name for path in folder.rglob("*"))


async def test_missing_files_come_from_the_configured_mirror(mirror, tmp_path):
    jars = [mirror.put(name, JAR + name.encode()) for name in ("one", "two", "three")]
    paths = await fetch(jars, tmp_path / "cache", mirror.url)
    assert [path.name for path in paths] == ["one-1.0.jar", "two-1.0.jar", "three-1.0.jar"]
    assert [path.read_bytes() for path in paths] == [JAR + b"one", JAR + b"two", JAR + b"three"]
    assert names(tmp_path / "cache") == ["one-1.0.jar", "three-1.0.jar", "two-1.0.jar"]


async def test_a_file_may_be_larger_than_an_answer_of_a_service(mirror, tmp_path):
    """The bound of other HTTP clients, 16 MB, is below the size of some artifacts."""
    jar = mirror.put("large", bytes(17_000_000))
    (path,) = await fetch([jar], tmp_path, mirror.url)
    assert path.stat().st_size == 17_000_000


async def test_an_intact_file_is_not_downloaded_again(mirror, tmp_path):
    jar = mirror.put("one", JAR)
    await fetch([jar], tmp_path, mirror.url)
    mirror.requests.clear()
    await fetch([jar], tmp_path, mirror.url)
    assert mirror.requests == []


async def test_a_corrupt_file_is_downloaded_again(mirror, tmp_path):
    jar = mirror.put("one", JAR)
    (path,) = await fetch([jar], tmp_path, mirror.url)
    path.write_bytes(JAR[:-1])
    await fetch([jar], tmp_path, mirror.url)
    assert path.read_bytes() == JAR


async def test_a_file_with_another_sha512_is_rejected_and_not_kept(mirror, tmp_path):
    jar = mirror.put("one", JAR)
    mirror.files[jar.path] = JAR[:-1] + b"!"
    with pytest.raises(EmbeddedKafkaError, match=r"one-1.0.jar has another sha512"):
        await fetch([jar], tmp_path, mirror.url)
    assert names(tmp_path) == []


async def test_an_interrupted_download_is_retried(mirror, tmp_path):
    jar = mirror.put("one", JAR)
    mirror.cut_off_once = [jar.path]
    (path,) = await fetch([jar], tmp_path, mirror.url)
    assert path.read_bytes() == JAR


async def test_a_download_that_keeps_failing_leaves_nothing_and_the_next_succeeds(mirror, tmp_path):
    good, bad = mirror.put("good", JAR), mirror.put("bad", JAR + JAR)
    mirror.cut_off_once = [bad.path] * 3
    with pytest.raises(EmbeddedKafkaError, match="the transfer broke off"):
        await fetch([good, bad], tmp_path, mirror.url)
    assert set(names(tmp_path)) <= {"good-1.0.jar"}
    paths = await fetch([good, bad], tmp_path, mirror.url)
    assert [path.read_bytes() for path in paths] == [JAR, JAR + JAR]


async def test_a_cancelled_download_leaves_nothing_broken(mirror, tmp_path):
    jars = [mirror.put(f"jar{number}", JAR * 50) for number in range(20)]
    download = asyncio.create_task(fetch(jars, tmp_path, mirror.url))
    await mirror.wait_for_request()
    download.cancel()
    with pytest.raises(asyncio.CancelledError):
        await download
    paths = await fetch(jars, tmp_path, mirror.url)
    assert all(path.read_bytes() == JAR * 50 for path in paths)


async def test_concurrent_downloads_share_one_folder(mirror, tmp_path):
    jars = [mirror.put(f"jar{number}", JAR) for number in range(5)]
    await asyncio.gather(*(fetch(jars, tmp_path, mirror.url) for _ in range(4)))
    assert names(tmp_path) == [f"jar{number}-1.0.jar" for number in range(5)]


async def test_progress_ends_at_the_total(mirror, tmp_path):
    jars = [mirror.put("one", JAR), mirror.put("two", JAR)]
    mirror.cut_off_once = [jars[0].path]
    seen = []
    await fetch(jars, tmp_path, mirror.url, lambda done, total: seen.append((done, total)))
    assert seen[-1] == (2 * len(JAR), 2 * len(JAR))
    assert all(0 <= done <= total for done, total in seen)


async def test_an_unreachable_repository_is_named_with_the_setting_and_without_its_password(tmp_path):
    url = f"http://reader:geheim@127.0.0.1:{ports.pick_free_port()}/maven/"
    with pytest.raises(EmbeddedKafkaError) as raised:
        await fetch([make_artifact("one", JAR)], tmp_path, url)
    sentence = str(raised.value)
    assert sentence.startswith(
        f"{url.replace('reader:geheim@', '')}org/example/one/1.0/one-1.0.jar cannot be downloaded"
    )
    assert "embedded.maven_repository" in sentence
    assert "geheim" not in sentence


async def test_a_repository_without_the_file_is_named(mirror, tmp_path):
    with pytest.raises(EmbeddedKafkaError, match="the host answers 404 Not Found"):
        await fetch([make_artifact("one", JAR)], tmp_path, mirror.url)


@pytest.mark.parametrize("url", ["maven.example", "ftp://maven.example", "http://", "http://[::"])
async def test_an_invalid_repository_url_is_reported(tmp_path, url):
    with pytest.raises(EmbeddedKafkaError, match=r"is not (?:an )?http or https"):
        await fetch([make_artifact("one", JAR)], tmp_path, url)


async def test_a_read_only_cache_folder_is_named_with_the_setting(mirror, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(EmbeddedKafkaError, match=r"file/cache cannot be written .* XDG_CACHE_HOME"):
        await fetch([mirror.put("one", JAR)], tmp_path / "file" / "cache", mirror.url)


@pytest.mark.parametrize(
    ("environ", "platform", "expected"),
    [
        ({"XDG_CACHE_HOME": "/cache"}, "linux", "/cache/jira-audit-relay"),
        ({}, "linux", "/home/me/.cache/jira-audit-relay"),
        ({}, "darwin", "/home/me/Library/Caches/jira-audit-relay"),
    ],
)
def test_the_cache_folder_is_the_one_the_system_prescribes(environ, platform, expected):
    assert cache.default_folder(environ, Path("/home/me"), platform) == Path(expected)


def test_a_user_without_a_home_folder_gets_a_sentence(monkeypatch):
    """In a container the user id may have no entry, and HOME may not be set."""

    def unknown(*_):
        raise KeyError("no such user")

    monkeypatch.setattr("pwd.getpwuid", unknown)
    monkeypatch.delenv("HOME", raising=False)
    assert cache.home_folder() is None
    assert cache.default_folder({"XDG_CACHE_HOME": "/var/cache"}, None) == Path("/var/cache/jira-audit-relay")
    with pytest.raises(EmbeddedKafkaError, match="HOME or XDG_CACHE_HOME"):
        cache.default_folder({}, None)
