"""The shipped nginx configuration, run by the nginx of this machine in front of a local service."""

import re
import socket
import ssl
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import reduce
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection
from pathlib import Path

from tests.deploy.compose import ROOT, free_port, wait_for
from tests.deploy.processes import process

FILES = ROOT / "docker/nginx"
ADDRESS = "127.0.0.1"
UNDER_PREFIX = """
error_log stderr;
pid /tmp/nginx.pid;
events {}
http {
  include limits.conf;
  access_log off;
  client_body_temp_path /tmp/bodies;
  server {
    listen 8443;
    include prefix.conf;
  }
}
"""


@dataclass(frozen=True)
class Proxy:
    """A running nginx: its port, and how to trust its certificate."""

    port: int
    tls: ssl.SSLContext | None

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[HTTPResponse, bytes]:
        """Return a response and its body, over a connection of its own."""
        connection = HTTPConnection(ADDRESS, self.port, timeout=20)
        if self.tls is not None:
            connection = HTTPSConnection(ADDRESS, self.port, timeout=20, context=self.tls)
        with closing(connection):
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return response, response.read()

    def open(self, data: bytes) -> socket.socket:
        """Return a connection over which these bytes were sent; it takes few bytes at a time."""
        raw = socket.socket()
        raw.settimeout(20)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.connect((ADDRESS, self.port))
        assert self.tls is not None
        connection = self.tls.wrap_socket(raw, server_hostname=ADDRESS)
        connection.sendall(data)
        return connection


@contextmanager
def nginx(service: int, *changes: tuple[str, str], main: str = "") -> Iterator[Proxy]:
    """Run nginx in front of a local port until the block ends.

    Args:
        service: the port.
        changes: texts of the shipped files and what they become; each must occur once, or nothing would be tested.
        main: a main configuration in place of the shipped one, without TLS.
    """
    with tempfile.TemporaryDirectory() as name:
        folder, port = Path(name), free_port()
        texts = {path.name: path.read_text() for path in FILES.glob("*.conf")}
        for old, _ in changes:
            assert sum(text.count(old) for text in texts.values()) == 1, old
        if main:
            texts["nginx.conf"] = main
        replacements = [
            *changes,
            ("/tmp/", f"{folder}/"),
            ("/certificates/", f"{folder}/"),
            ("listen 8443", f"listen {ADDRESS}:{port}"),
            ("set $peephole peephole:8000", f"set $peephole {ADDRESS}:{service}"),
            ("127.0.0.1:8000", f"{ADDRESS}:{service}"),
        ]
        for file, text in texts.items():
            (folder / file).write_text(reduce(lambda text, pair: text.replace(*pair), replacements, text))
        tls = None if main else certificate(folder)
        with process(folder / "log", "nginx", "-c", str(folder / "nginx.conf"), "-g", "daemon off; user root;"):
            proxy = Proxy(port, tls)
            wait_for(lambda: proxy.request("GET", "/"), "nginx to listen", seconds=10)
            yield proxy


def certificate(folder: Path) -> ssl.SSLContext:
    """Make a certificate for this machine's own address; return a client's context that trusts it."""
    words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=peephole"]
    words += ["-addext", f"subjectAltName=IP:{ADDRESS}", "-keyout", "privkey.pem", "-out", "fullchain.pem"]
    subprocess.run(words, cwd=folder, check=True, capture_output=True)
    return ssl.create_default_context(cafile=folder / "fullchain.pem")


def counted(service: int) -> dict[str, float]:
    """Return the requests that a service has counted by route, and under `in flight` the POST requests it handles."""
    with closing(HTTPConnection(ADDRESS, service, timeout=20)) as connection:
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
    found = re.findall(r'^http_requests_total\{.*route="([^"]+)".*\} (\S+)$', text, re.MULTILINE)
    found += [
        ("in flight", number) for number in re.findall(r"^predictor_inflight_requests (\S+)$", text, re.MULTILINE)
    ]
    return {route: float(number) for route, number in found}
