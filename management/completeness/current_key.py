"""The key of the setting `proof.key`, as its file or its store has it at each signature."""

import structlog
from pydantic import SecretStr

from management.completeness.signature import SigningKey, parse_seed
from relay.errors import SettingsError

log = structlog.get_logger(__name__)


def current_key(setting: SecretStr) -> SigningKey:
    """Return a key that follows the setting; a text that is no key leaves the key of before. Raises SettingsError if it is none now."""
    seen = setting.get_secret_value()
    used = parse_seed(seen)

    def changed_seed() -> bytes | None:
        nonlocal seen, used
        text = setting.get_secret_value()
        if text == seen:
            return None
        seen = text
        try:
            seed = parse_seed(text)
        except SettingsError as error:
            log.warning("The new key of proof.key cannot be used; the old one signs.", reason=str(error))
            return None
        if seed != used:
            log.info("Days are signed with another key.", key=SigningKey(seed).name)
        used = seed
        return seed

    return SigningKey(used, changed_seed)
