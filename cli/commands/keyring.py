"""`jira-relay keyring`: the keys of `secrets`, wrapped by a key service."""

import asyncio
import os
from pathlib import Path
from typing import Annotated

import typer

from cli.context import CommandContext
from cli.output import JsonOption, print_json
from management.organizations.validation import InputError
from relay.config.secret_stores import SecretStoresConfig
from relay.credentials.encryption_keys import make_key, read_key
from relay.credentials.keyring import Keyring
from relay.credentials.stores.error import SecretStoreError
from relay.credentials.stores.key_services import open_key_service
from relay.credentials.stores.reference import StoreReference, parse_key, parse_reference
from relay.errors import RelayError

WRAP_SECONDS = 30.0

app = typer.Typer(no_args_is_help=True)


@app.callback()
def keyring() -> None:
    """Wrap the keys that encrypt API keys, and the one that signs days, by a key service."""


@app.command()
def wrap(
    context: typer.Context,
    by: Annotated[
        str, typer.Argument(metavar="KEY", help="The key that wraps, such as azure-key-vault-key:VAULT/KEY.")
    ],
    key_file: Annotated[
        Path | None, typer.Option(help="File with the key to wrap, in base64. Default: a new random key.")
    ] = None,
    key_ref: Annotated[
        str | None, typer.Option(help="Reference of a wrapped key, to wrap the same key by another one.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Wrap a key, and print its reference: for secrets.keys_ref, or with the key of proof.key_file for proof.key_ref.

    The reference is no secret: nobody reads the key in it without the right to unwrap. The key itself is shown nowhere.
    """
    if key_file is not None and key_ref is not None:
        raise InputError("--key-file and --key-ref are both given: keep one of them.")
    state: CommandContext = context.obj
    try:
        wrapping, wrapped = parse_key(by), None if key_ref is None else parse_reference(key_ref)
    except ValueError as error:
        raise InputError(f"The key {error}.") from None
    given = None if key_file is None else read_key(key_file)
    reference, key = asyncio.run(_wrap(state.settings.secret_stores, wrapping, wrapped, given))
    name = Keyring([key]).ids[0]
    if as_json:
        print_json({"id": name, "reference": reference})
        return
    print(reference)
    typer.echo(
        f"The key {name} is wrapped. Put the line into secrets.keys_ref, or proof.key_ref if it signs days; a backup of it is enough.",
        err=True,
    )


async def _wrap(
    config: SecretStoresConfig, wrapping: StoreReference, wrapped: StoreReference | None, given: bytes | None
) -> tuple[str, bytes]:
    """Return the reference of a wrapped key, and the key: the one in `wrapped`, else `given`, else a new one."""
    try:
        async with asyncio.timeout(WRAP_SECONDS):
            key = given or make_key()
            if wrapped is not None:
                key = await open_key_service(wrapped.kind, config, os.environ).unwrap(wrapped)
            service = open_key_service(wrapping.kind, config, os.environ)
            reference = await service.wrap(wrapping, key)
            if await service.unwrap(parse_reference(reference)) != key:
                raise RelayError(
                    f"{wrapping.text} unwraps another key than it wrapped. Look at the key service."
                )
            return reference, key
    except SecretStoreError as error:
        raise RelayError(f"The key cannot be wrapped by {wrapping.text}: {error}") from error
    except TimeoutError:
        raise RelayError(
            f"{wrapping.text} did not answer within {WRAP_SECONDS:g} s. Check the network."
        ) from None
