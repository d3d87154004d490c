"""Input of `jira-relay organizations add` that is refused."""

import pytest


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--url", "acme.atlassian.net"), "must begin with https://"),
        (("--url", "http://acme.atlassian.net"), "plain http"),
        (("--url", "https://acme.atlassian.net/jira"), "a path after its host"),
        (("--url", "https://jira.example.com"), "producer.allowed_hosts"),
        (("--url", "https://relay:hunter2-secret@acme.atlassian.net"), "remove them"),
        (("--url", "https://\udcff.atlassian.net"), "URL"),
        (("--user", "relay@acme.example:hunter2-secret"), "e-mail address"),
        (("--user", ""), "e-mail address"),
        (("--user", "Jane Doe <jane@acme.example>"), "e-mail address"),
        (("--name", "two words"), "space"),
        (("--name", "line\nbreak"), "control"),
        (("--name", "\udcff"), "control"),
        (("--name", "n" * 250), "249"),
        (("--name", "acme/pause"), "no slash"),
        (("--name", "destination/soc"), "no slash"),
        (("--name", ".."), "more than dots"),
        (("--backfill-days", "181"), "180"),
        (("--backfill-days", "-1"), "180"),
        (("--interval-seconds", "86401"), "86400"),
        (("--key-expires", "next year"), "2026-12-31"),
        (("--api-key-ref", "env:RELAY_KEY_A"), "keep one"),
    ],
)
async def test_wrong_input_ends_with_2_and_one_line(command_line_without_kafka, options, words):
    """Invalid input is refused before any request, and a password in a wrong place is not repeated."""
    given = {"--url": "https://acme.atlassian.net", "--user": "relay@acme.example", "--api-key-file": "-"}
    given |= dict([options])
    refused = await command_line_without_kafka(
        "organizations", "add", *[text for pair in given.items() for text in pair], key="k" * 20, code=2
    )

    assert words in refused.err
    assert "hunter2" not in refused.output
    assert len(refused.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot be read"),
        (b"", "empty"),
        (b" \n", "empty"),
        (b"a\nb", "one line"),
        (b"\xff\xfe", "not text"),
    ],
)
async def test_a_key_file_without_a_key_is_refused(command_line_without_kafka, tmp_path, content, words):
    """The error says what is wrong with the key file, without its path, which may be the key itself."""
    path = tmp_path / "ATATT-misplaced"
    if content is not None:
        path.write_bytes(content)
    refused = await command_line_without_kafka(
        *(
            "organizations",
            "add",
            "--url",
            "https://acme.atlassian.net",
            "--user",
            "relay@acme.example",
            "--api-key-file",
            path,
        ),
        code=2,
    )

    assert words in refused.err
    assert "misplaced" not in refused.output


async def test_the_key_cannot_be_an_argument_or_absent(command_line_without_kafka):
    """No option takes the key itself, and one of the two other options is required."""
    given = ("organizations", "add", "--url", "https://acme.atlassian.net", "--user", "relay@acme.example")
    refused = await command_line_without_kafka(*given, "--api-key", "hunter2-secret", code=2)
    assert "hunter2" not in refused.output
    assert "--api-key-file FILE" in (await command_line_without_kafka(*given, code=2)).err
    assert (
        "env:RELAY_KEY_"
        in (await command_line_without_kafka(*given, "--api-key-ref", "hunter2-secret", code=2)).err
    )


async def test_without_keys_only_references_are_accepted(command_line, acme, monkeypatch):
    """Without keys in secrets the error says how to make one, and a reference is accepted."""
    monkeypatch.delenv("RELAY_SECRETS__KEY_FILE")
    assert "openssl rand" in (await command_line.add(acme, code=2)).err

    command_line.set_environment(RELAY_KEY_ACME=acme.token)
    given = ("--url", acme.url, "--user", acme.user, "--api-key-ref", "env:RELAY_KEY_ACME")
    await command_line("organizations", "add", *given)
