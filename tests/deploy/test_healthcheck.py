import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "deploy" / "healthcheck.py"


def exit_code(listen):
    environ = os.environ | {"RELAY_TELEMETRY__LISTEN": listen, "http_proxy": "http://127.0.0.1:1"}
    return subprocess.run([sys.executable, SCRIPT], env=environ, timeout=30, check=False).returncode


@pytest.fixture
def service():
    """A service that answers /healthz with the status of its attribute."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(self.server.status if self.path == "/healthz" else 404)
            self.end_headers()

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        server.status = 200
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("host", ["0.0.0.0", "127.0.0.1"])
def test_a_service_that_answers_200_is_alive(service, host):
    """A service that answers /healthz with 200 is alive, also if the environment names a proxy."""
    assert exit_code(f"{host}:{service.server_port}") == 0


def test_a_service_that_answers_503_is_not_alive(service):
    """A service that answers /healthz with an error is not alive."""
    service.status = 503

    assert exit_code(f"0.0.0.0:{service.server_port}") == 1


def test_a_service_that_does_not_listen_is_not_alive(service):
    """A refused connection means that the service is not alive."""
    service.shutdown()
    service.server_close()

    assert exit_code(f"0.0.0.0:{service.server_port}") == 1
