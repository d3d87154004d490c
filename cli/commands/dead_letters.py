from typing import Annotated, Any

import typer

from cli.context import Context
from cli.output import Json, plain, print_facts, print_json, print_table
from management.dead_letters import Letter, Opened, newest, open_letter, parsed_address
from management.formatting import exact, instant

app = typer.Typer(help="What could not be taken and was set aside, with the reason.", no_args_is_help=True)

_BYTES_A_LINE = 32


@app.command("list")
def list_letters(
    context: typer.Context,
    organization: Annotated[str | None, typer.Option(help="Only those of one organization.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many, the newest first.")] = 50,
    as_json: Json = False,
) -> None:
    """Show the newest dead letters."""
    state: Context = context.obj
    letters: list[Letter] = state.ask(newest(state.connection(), limit, organization))
    if as_json:
        print_json([_document(letter) for letter in letters])
    elif not letters:
        print("There are no dead letters.")
    else:
        print_table(("Where", "At", "Organization", "Set aside by", "Reason"), list(map(_row, letters)))


@app.command()
def show(
    context: typer.Context,
    address: Annotated[
        str, typer.Argument(metavar="PARTITION/OFFSET", help="As `dead-letters list` shows it.")
    ],
    as_json: Json = False,
) -> None:
    """Show one dead letter: why it was set aside, and its original bytes, as text where they are text, else in hexadecimal."""
    state: Context = context.obj
    opened: Opened = state.ask(open_letter(state.connection(), *parsed_address(address)))
    text = _text(opened.content)
    if as_json:
        content = {"hex": opened.content.hex()} if text is None else {"text": text}
        print_json(_document(opened.letter) | {"remark": opened.remark} | content)
        return
    letter = opened.letter
    facts = [
        ("where", letter.address),
        ("at", instant(letter.at)),
        ("organization", letter.organization or ""),
    ]
    print_facts([*facts, *((name, value) for name, value in letter.facts.items() if name != "at")])
    if opened.remark is not None:
        print(f"\n{plain(opened.remark)}")
    print()
    print(_hexadecimal(opened.content) if text is None else "\n".join(map(plain, text.split("\n"))))


def _row(letter: Letter) -> tuple[str, ...]:
    by = letter.facts.get("destination") or letter.facts.get("service", "")
    return (letter.address, instant(letter.at), letter.organization or "", by, letter.facts.get("reason", ""))


def _document(letter: Letter) -> dict[str, Any]:
    return {
        "partition": letter.partition,
        "offset": letter.offset,
        "at": exact(letter.at),
        "organization": letter.organization,
        "size": letter.size,
        "headers": {f"relay.{name}": value for name, value in letter.facts.items()},
    }


def _text(content: bytes) -> str | None:
    """None: it is not text."""
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return None
    return text if all(char.isprintable() or char in "\n\r\t" for char in text) else None


def _hexadecimal(content: bytes) -> str:
    starts = range(0, len(content), _BYTES_A_LINE)
    return "\n".join(content[start : start + _BYTES_A_LINE].hex(" ") for start in starts)
