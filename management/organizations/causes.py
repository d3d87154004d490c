"""Equal causes of several organizations, as equal texts. Pure."""


def shared_reason(reason: str, name: str, url: str = "", user: str = "") -> str:
    """Return the reason with placeholders for what belongs to one organization, so that equal reasons are equal texts."""
    host = url.partition("://")[2]
    for value, placeholder in ((url, "URL"), (host, "HOST"), (user, "USER"), (name, "NAME")):
        if value:
            reason = _replaced(reason, value, placeholder)
    return reason


def _replaced(text: str, value: str, placeholder: str) -> str:
    """Replace the value where it is no part of a longer name. Ten thousand values would be as many regular expressions to compile."""
    done, start, search = "", 0, 0
    while (at := text.find(value, search)) >= 0:
        end = at + len(value)
        if _is_in_name(text[at - 1 : at], ".-") or _is_in_name(text[end : end + 1], "-"):
            search = at + 1
            continue
        done += text[start:at] + placeholder
        start = search = end
    return done + text[start:]


def _is_in_name(character: str, others: str) -> bool:
    """Return whether the character, or none at an end of the text, continues a name."""
    return character != "" and (character.isalnum() or character == "_" or character in others)
