"""References to secrets in stores: their forms, and their parts."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from relay.credentials.stores.error import SecretStoreError

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


_WRAPPED = r"(#(?P<wrapped>[A-Za-z0-9:+/_=-]{16,4096}))?"

KEY_FORMS: Mapping[str, ReferenceForm] = {
    "azure-key-vault-key": ReferenceForm(
        "VAULT/KEY[/VERSION]",
        re.compile(
            r"(?P<vault>[A-Za-z][A-Za-z0-9-]{1,22}[A-Za-z0-9])/(?P<name>[A-Za-z0-9-]{1,127})(/(?P<version>[0-9a-f]{32}))?"
            + _WRAPPED
        ),
    ),
    "vault-transit": ReferenceForm(
        "MOUNT/KEY",
        re.compile(r"(?P<mount>[A-Za-z0-9_.-]{1,128})/(?P<name>[A-Za-z0-9_.-]{1,128})" + _WRAPPED),
    ),
    # Key id, alias, or the ARN of either, which names its region ("Encrypt").
    "aws-kms": ReferenceForm(
        "KEY",
        re.compile(
            r"(?P<name>arn:aws[a-z-]*:kms:(?P<region>[a-z0-9-]+):[0-9]{12}:[A-Za-z0-9/_-]{1,256}|[A-Za-z0-9/_-]{1,256})"
            + _WRAPPED
        ),
    ),
    "google-kms": ReferenceForm(
        "PROJECT/LOCATION/RING/KEY",
        re.compile(
            r"(?P<project>[a-z0-9][a-z0-9.:-]{1,62})/(?P<location>[a-z0-9-]{1,63})/(?P<ring>[A-Za-z0-9_-]{1,63})"
            r"/(?P<name>[A-Za-z0-9_-]{1,63})" + _WRAPPED
        ),
    ),
}
"""Keys of key services. With `#` and a wrapped key behind it, each is the reference of that key."""


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

    @property
    def is_key(self) -> bool:
        """Whether it is a key of the relay, wrapped by a key service: such a reference has one value for ever."""
        return self.kind in KEY_FORMS

    @property
    def shown(self) -> str:
        """The reference as messages show it: without the wrapped key, which is long."""
        return self.text.partition("#")[0] if self.is_key else self.text


def is_store_reference(text: str) -> bool:
    """Return whether the text begins as a reference to a store or a key service does; its form may be wrong."""
    return text.partition(":")[0] in {*FORMS, *KEY_FORMS}


def parse_reference(text: str) -> StoreReference:
    """Return the parts of a reference. Raises ValueError with the allowed forms, and without the text."""
    kind, _, rest = text.partition(":")
    form = FORMS.get(kind) or KEY_FORMS.get(kind)
    if form is None:
        raise ValueError(f"must be a reference such as {' or '.join(describe_forms())}")
    found = form.pattern.fullmatch(rest)
    if found is None:
        raise ValueError(f"must have the form {kind}:{form.form}{'#WRAPPED' if kind in KEY_FORMS else ''}")
    reference = StoreReference(text, kind, {name: part or "" for name, part in found.groupdict().items()})
    if reference.is_key and not reference.parts["wrapped"]:
        raise ValueError("must end with # and a wrapped key, as `jira-relay keyring wrap` prints it")
    return reference


def parse_key(text: str) -> StoreReference:
    """Return the parts of a key of a key service, which wraps nothing yet. Raises ValueError with the allowed forms."""
    kind, _, rest = text.partition(":")
    found = KEY_FORMS[kind].pattern.fullmatch(rest) if kind in KEY_FORMS else None
    if found is None or found["wrapped"]:
        forms = " or ".join(f"{name}:{each.form}" for name, each in KEY_FORMS.items())
        raise ValueError(f"must be that of a key service: {forms}")
    return StoreReference(text, kind, {name: part or "" for name, part in found.groupdict().items()})


def key_reference(key: StoreReference, path: str, wrapped: str) -> str:
    """Return the reference of a wrapped key. `path`: the key that wrapped it. Raises SecretStoreError for an answer that is none."""
    try:
        return parse_reference(f"{key.kind}:{path}#{wrapped}").text
    except ValueError:
        raise SecretStoreError(
            "its answer is no wrapped key. Check that the service answers there."
        ) from None


def describe_forms() -> list[str]:
    """Return the form of each kind of reference to a secret."""
    return [f"{kind}:{each.form}" for kind, each in FORMS.items()]
