"""The key of the setting `proof.key`, as its file or its store has it at each signature."""

import structlog
from pydantic import SecretStr

from management.completeness.signature import SigningKey, parse_seed
from relay.config.followed_secret import follow_secret
from relay.errors import SettingsError

log = structlog.get_logger(__name__)


def current_key(setting: SecretStr) -> SigningKey:
    """Return a key that follows the setting; a text that is no key leaves the key of before. Raises SettingsError if it is none now."""
    return SigningKey(*follow_secret(setting, parse_seed, _log_change, _log_unusable))


def _log_change(seed: bytes) -> None:
    log.info("Days are signed with another key.", key=SigningKey(seed).name)


def _log_unusable(error: SettingsError) -> None:
    log.warning("The new key of proof.key cannot be used; the old one signs.", reason=str(error))
