from hypothesis import given
from hypothesis import strategies as st

from relay.credentials import redaction
from relay.credentials.redaction import Redactor

CANARY = "ATATT3xFfGF0canary=5F1C9E00"


@given(
    st.lists(st.text(min_size=8, max_size=30), min_size=1, max_size=5),
    st.lists(st.text(max_size=10), max_size=6),
)
def test_redactor_finds_every_secret(secrets, between):
    """No known secret of eight or more characters is left in a text, even if secrets overlap or touch."""
    redactor = Redactor()
    for secret in secrets:
        redactor.add(secret)
    text = "".join(part for pair in zip(between, secrets * 6, strict=False) for part in pair)

    left = redactor(text)

    for secret in secrets:
        assert secret not in left.replace("[secret]", "\0")


def test_redactor_removes_the_longest():
    """A secret within another, or one that overlaps it, leaves no part of it."""
    redactor = Redactor()
    for secret in ("abcdefghijklmnop", "cdefghijkl", "ijklmnopqrst"):
        redactor.add(secret)

    assert redactor("<abcdefghijklmnop><abcdefghijklmnopqrst>") == "<[secret]><[secret]>"


def test_redactor_leaves_other_text_alone():
    """Text without a secret is unchanged, and short words are not secrets."""
    redactor = Redactor()
    redactor.add("key")
    redactor.add(CANARY)

    assert redactor(f"the key is {CANARY[:-1]}") == f"the key is {CANARY[:-1]}"


def test_a_secret_that_another_thread_adds_is_hidden_once_it_counts_as_added(monkeypatch):
    """Two threads add a key: neither passes over it, and logs, before each of its forms is known."""
    redactor, forms = Redactor(), redaction.encoded_forms

    def add_meanwhile(secret):
        monkeypatch.setattr(redaction, "encoded_forms", forms)
        redactor.add(secret)
        assert redactor(secret) == "[secret]"
        return forms(secret)

    monkeypatch.setattr(redaction, "encoded_forms", add_meanwhile)
    redactor.add(CANARY)

    assert redactor(CANARY) == "[secret]"
