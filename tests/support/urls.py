"""Pieces of URLs, hostile ones among them, to be joined at random."""

from hypothesis import strategies as st

# fmt: off
URL_PIECES = st.sampled_from([
    "https://", "http://", "acme", ".atlassian.net", "api.atlassian.com", "evil.example", "localhost", "127.0.0.1",
    "@", ":", "/", "\\", "?", "#", "%2e", "%40", ".", "..", "[", "]", "::1", "443", "0x7f", "xn--", "-", "_", "*",
    "\t", "\n", " ", "é", "\u3002", "\uff41", "\u017f", "\u212a", "\u200b", "\u00ad",
])
# fmt: on
