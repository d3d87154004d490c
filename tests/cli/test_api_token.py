"""`jira-relay api-token`."""

import tomllib

from console.api_tokens import ApiTokens
from console.permissions import AccessRole
from relay.timestamps import now_ms


async def test_a_token_is_printed_once_and_its_file_accepts_it(
    command_line_without_kafka, set_environment, tmp_path
):
    """Standard output has the token alone, so that a script can take it."""
    file = tmp_path / "tokens.toml"
    set_environment(RELAY_CONSOLE__API_TOKENS=file)
    made = await command_line_without_kafka("api-token", "terraform", "--role", "operator", "--days", 7)
    token = made.out.strip()

    found = ApiTokens(file).find(token, now_ms())
    assert (found.name, found.role) == ("terraform", AccessRole.OPERATOR)
    assert token not in file.read_text()
    again = await command_line_without_kafka("api-token", "terraform", code=2)
    assert "has a token terraform already" in again.err


async def test_without_a_file_the_table_is_printed(command_line_without_kafka):
    """The operator puts it where consoles read it; with --json there is one document."""
    made = await command_line_without_kafka("api-token", "dashboard")
    table = tomllib.loads(made.err[made.err.index("[dashboard]") :])
    assert table["dashboard"]["role"] == "viewer"
    document = (await command_line_without_kafka("api-token", "dashboard", "--json")).json
    assert document["name"] == "dashboard"
    assert len(document["token"]) > 40
    wrong = await command_line_without_kafka("api-token", "a b", code=2)
    assert "letters, digits" in wrong.err
