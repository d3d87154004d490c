"""Rules that every HTTP client of the relay follows."""

LOOPBACK_WITHOUT_PROXY: dict[str, None] = {
    f"all://{host}": None for host in ("127.0.0.1", "localhost", "[::1]")
}
"""Value for httpx's `mounts`: requests to this machine go to no proxy, even where the environment names one.

A proxy could read what is sent to this machine without TLS.
"""
