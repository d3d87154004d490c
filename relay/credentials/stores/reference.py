"""References to secrets in stores: their forms, and their parts."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

_FIELD = r"(#(?P<field>[A-Za-z0-9_.-]{1,128}))?"


@dataclass(frozen=True, slots=True)
class ReferenceForm:
    """How references of one kind are written. `pattern`: what follows `KIND:`, with a group for each part."""

    form: str
    pattern: re.Pattern[str]


FORMS: Mapping[str, ReferenceForm] = {
    # Vault: 3 to 24 letters, digits, hyphens; name: 1 to 127 of them; version: 32 hex digits ("Azure Key Vault keys, secrets and
    # certificates overview").
    "azure-key-vault": ReferenceForm(
        "VAULT/SECRET[/VERSION][#FIELD]",
        re.compile(
            r"(?P<vault>[A-Za-z][A-Za-z0-9-]{1,22}[A-Za-z0-9])/(?P<name>[A-Za-z0-9-]{1,127})(/(?P<version>[0-9a-f]{32}))?"
            + _FIELD
        ),
    ),
    # Key of the KV engine, version 2; the first part is its mount. The field is needed: a secret there is a table.
    "vault": ReferenceForm(
        "MOUNT/PATH#FIELD",
        re.compile(
            r"(?P<mount>[A-Za-z0-9_.-]{1,128})/(?P<name>(?!(.*/)?\.{1,2}(/|$))[A-Za-z0-9_.@-]{1,128}(/[A-Za-z0-9_.@-]{1,128}){0,15})"
            r"#(?P<key>[A-Za-z0-9_.-]{1,128})"
        ),
    ),
    # "CreateSecret": a name of 1 to 512 ASCII letters, digits, and /_+=.@-; an ARN names region and account too.
    "aws-secrets-manager": ReferenceForm(
        "NAME[#FIELD]",
        re.compile(
            r"(?P<name>arn:aws[a-z-]*:secretsmanager:(?P<region>[a-z0-9-]+):[0-9]{12}:secret:[A-Za-z0-9/_+=.@-]{1,519}"
            r"|[A-Za-z0-9/_+=.@-]{1,512})" + _FIELD
        ),
    ),
    # "PutParameter": names of letters, digits and _.-, in up to 15 levels.
    "aws-ssm": ReferenceForm(
        "NAME[#FIELD]",
        re.compile(r"(?P<name>/?[A-Za-z0-9_.-]{1,128}(/[A-Za-z0-9_.-]{1,128}){0,14})" + _FIELD),
    ),
    # Project id or number; secret: 1 to 255 letters, digits, _ and - ("Secret Manager, create a secret").
    "google-secret-manager": ReferenceForm(
        "PROJECT/SECRET[/VERSION][#FIELD]",
        re.compile(
            r"(?P<project>[a-z0-9][a-z0-9.:-]{1,62})/(?P<name>[A-Za-z0-9_-]{1,255})(/(?P<version>[0-9]{1,10}))?"
            + _FIELD
        ),
    ),
}


@dataclass(frozen=True, slots=True)
class StoreReference:
    """A secret in a store. `parts`: the named parts of its form; an optional part that is not given is empty."""

    text: str
    kind: str
    parts: Mapping[str, str]

    @property
    def field(self) -> str:
        """The key of a JSON object that the secret is; empty: the whole text is the secret."""
        return self.parts.get("field", "")


def is_store_reference(text: str) -> bool:
    """Return whether the text begins as a reference to a store does; its form may be wrong."""
    return text.partition(":")[0] in FORMS


def parse_reference(text: str) -> StoreReference:
    """Return the parts of a reference. Raises ValueError with the allowed forms, and without the text."""
    kind, _, rest = text.partition(":")
    if kind not in FORMS:
        raise ValueError(f"must be a reference such as {' or '.join(describe_forms())}")
    found = FORMS[kind].pattern.fullmatch(rest)
    if found is None:
        raise ValueError(f"must have the form {kind}:{FORMS[kind].form}")
    return StoreReference(text, kind, {name: part or "" for name, part in found.groupdict().items()})


def describe_forms() -> list[str]:
    """Return the form of each kind of reference."""
    return [f"{kind}:{each.form}" for kind, each in FORMS.items()]
