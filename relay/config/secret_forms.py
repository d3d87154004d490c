"""The forms of a secret setting: the value itself, a file that holds it (`_file`), and references to a store (`_ref`)."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic.fields import FieldInfo

from relay.config.file_secret import FileSecret, SecretFileError, read_secret_text
from relay.config.names import SettingName, dotted, generalize
from relay.config.setting_value import References, SettingValue, is_safe_to_show
from relay.errors import SettingsError


def resolve_secret_forms(
    fields: Mapping[SettingName, FieldInfo], written: Mapping[SettingName, SettingValue]
) -> Iterator[tuple[SettingName, SettingValue]]:
    for name, given in written.items():
        plain = (*name[:-1], name[-1].removesuffix("_file"))
        reference = (*name[:-1], name[-1].removesuffix("_ref"))
        if generalize(name) in fields:
            yield name, given
        elif reference != name:
            _refuse_second_form(written, reference, name, given)
            yield reference, SettingValue(References(given.value), given.source)
        else:
            _refuse_second_form(written, plain, name, given)
            yield plain, SettingValue(_read_secret_file(name, given), given.source)


def _refuse_second_form(
    written: Mapping[SettingName, SettingValue], plain: SettingName, name: SettingName, given: SettingValue
) -> None:
    forms = (
        plain,
        (*plain[:-1], f"{plain[-1]}_file"),
        *([("secrets", "key_file")] if plain == ("secrets", "keys") else []),
    )
    if rival := next((form for form in forms if form != name and form in written), None):
        raise SettingsError(
            f"{dotted(rival)} and {dotted(name)} are both set ({given.source}): keep one of them."
        )


def _read_secret_file(name: SettingName, given: SettingValue) -> FileSecret:
    path = str(given.value)
    try:
        resolved = Path(given.resolved).expanduser()
        return FileSecret(dotted(name), resolved, read_secret_text(resolved))
    except SecretFileError as error:
        if str(error) == "is empty":
            raise SettingsError(
                f"{dotted(name)} ({given.source}): the file {path} is empty. Write the value into it."
            ) from None
        reason = str(error)
    except (ValueError, RuntimeError):
        reason = "cannot be read: not UTF-8 text"
    shown = f" {path}" if is_safe_to_show(name, path) else ""
    raise SettingsError(
        f"{dotted(name)} ({given.source}): the file{shown} {reason}. Check its path and permissions."
    )
