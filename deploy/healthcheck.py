#!/usr/bin/env python3
"""Exit with 0 when /healthz of this container's service answers 200. The image has Python, and no curl."""

import http.client
import os
import sys

ANY = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}


def alive(listen: str) -> bool:
    """Return whether /healthz answers 200 at an address such as 0.0.0.0:9464."""
    host, _, port = listen.rpartition(":")
    connection = http.client.HTTPConnection(ANY.get(host, host), int(port), timeout=4)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(not alive(os.environ["RELAY_TELEMETRY__LISTEN"]))
