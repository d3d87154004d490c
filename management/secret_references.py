"""Settings that are references to secrets in stores: read at the start, all at a time."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from relay.config.names import SettingName, dotted, generalize, is_list, is_table
from relay.config.secret_stores import SecretStoresConfig
from relay.config.setting_value import References, SettingValue
from relay.config.sources import SettingValues
from relay.credentials.stores.cache import open_stores
from relay.credentials.stores.error import SecretStoreError
from relay.credentials.stores.reference import is_store_reference, parse_reference
from relay.credentials.stores.stored_secret import StoredSecret
from relay.errors import SettingsError

WRAPPED_KEYS = (("secrets", "keys"), ("proof", "key"))
"""The settings whose values are keys of 32 bytes, which a key service may have wrapped."""


def read_references(
    given: SettingValues, config: SecretStoresConfig, environ: Mapping[str, str]
) -> SettingValues:
    """Return the values with a StoredSecret in place of each reference. `environ`: the variables of the stores.

    Raises SettingsError with one sentence for each reference whose form is wrong, or whose secret cannot be read.
    """
    named = {name: each for name, each in given.values.items() if isinstance(each.value, References)}
    if faults := [fault for name, each in named.items() for fault in _form_faults(given, name, each)]:
        raise SettingsError("\n".join(faults))
    stores = open_stores(config, environ)
    found = stores.read_all(
        dict.fromkeys(text for each in named.values() for text in _texts(each.value.value))
    )
    if faults := [
        f"{_form(name)} ({each.source}): {found[text]}"
        for name, each in named.items()
        for text in _texts(each.value.value)
        if isinstance(found[text], SecretStoreError)
    ]:
        raise SettingsError("\n".join(dict.fromkeys(faults)))

    def stored(value: Any) -> Any:
        match value:
            case dict():
                return {key: stored(each) for key, each in value.items()}
            case list():
                return tuple(map(stored, value))
        return StoredSecret(stores, value)

    secrets = {name: replace(each, value=stored(each.value.value)) for name, each in named.items()}
    return SettingValues(given.fields, {**given.values, **secrets})


def _form_faults(given: SettingValues, name: SettingName, each: SettingValue) -> Iterator[str]:
    field, value = given.fields[generalize(name)], each.value.value
    label = f"{_form(name)} ({each.source})"
    shape, noun = (
        (list, "a list of references")
        if is_list(field)
        else (dict, "a table of names and references")
        if is_table(field)
        else (str, "a reference")
    )
    if not isinstance(value, shape):
        yield f"{label}: must be {noun}."
        return
    for text in _texts(value):
        try:
            reference = parse_reference(text if isinstance(text, str) else "")
            if reference.is_key and name not in WRAPPED_KEYS:
                yield f"{label}: {reference.kind} is for secrets.keys_ref and proof.key_ref alone."
        except ValueError as error:
            # a text of another kind may be the secret itself, in the wrong place
            shown = f" {text!r}" if isinstance(text, str) and is_store_reference(text) else ""
            yield f"{label}:{shown} {error}."


def _form(name: SettingName) -> str:
    return f"{dotted(name)}_ref"


def _texts(value: Any) -> list[Any]:
    match value:
        case dict():
            return list(value.values())
        case list():
            return value
    return [value]
