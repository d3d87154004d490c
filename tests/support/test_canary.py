import base64
import json
from urllib.parse import quote

from hypothesis import given
from hypothesis import strategies as st

from tests.support.canary import find_leaks


@given(st.text(min_size=24, max_size=60), st.binary(max_size=4), st.binary(max_size=4))
def test_a_secret_is_found_in_every_form(secret, before, after):
    """A secret is found plain, in JSON, in a URL, and in base64 between other bytes."""
    forms = [
        secret.encode(),
        json.dumps(secret).encode(),
        quote(secret, safe="").encode(),
        base64.b64encode(before + secret.encode() + after),
        base64.urlsafe_b64encode(before + secret.encode() + after),
    ]
    assert [find_leaks({"it": secret}, before + form) for form in forms] == [["it"]] * len(forms)


def test_other_text_is_no_secret():
    """A text with less than a piece of a secret is no finding."""
    assert find_leaks({"it": "ATATT-" + "0123456789abcdef" * 2}, b"ATATT-0123, 56789ab, 89abcdef012") == []
