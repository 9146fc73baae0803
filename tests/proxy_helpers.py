"""A proxy on loopback as one stands before a lab: it gives it a path, takes the path off or leaves it, and says so."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import threading
from typing import Any

DROPPED = ("connection", "keep-alive", "transfer-encoding", "content-length")  # a hop's own


class Proxy:
    """Serves what is at ``port`` under ``path``; with ``strips``, the server behind never sees the path."""

    def __init__(self, port: int, path: str, *, strips: bool) -> None:
        self.port, self.path, self.strips = port, path, strips
        self.seen: list[str] = []  # what was asked outside the path, which is somebody else's
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self.handler())
        self.server.daemon_threads = True
        self.root = f"http://127.0.0.1:{self.server.server_port}{path}"

    def __enter__(self) -> Proxy:
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()

    def handler(self) -> type[http.server.BaseHTTPRequestHandler]:
        proxy = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                proxy.pass_on(self)

            do_POST = do_GET

            def log_message(self, *_: Any) -> None:
                pass

        return Handler

    def pass_on(self, asked: http.server.BaseHTTPRequestHandler) -> None:
        if not asked.path.partition("?")[0].startswith(self.path):
            self.seen.append(asked.path)
            asked.send_error(404)
            return
        target = asked.path.removeprefix(self.path) if self.strips else asked.path
        target = target if target.startswith("/") else f"/{target}"
        headers = {name: value for name, value in asked.headers.items() if name.lower() not in DROPPED}
        body = asked.rfile.read(int(asked.headers.get("content-length", 0)))
        behind = http.client.HTTPConnection("127.0.0.1", self.port)
        headers |= {"x-forwarded-for": asked.client_address[0], "x-forwarded-host": asked.headers["host"]}
        behind.request(asked.command, target, body or None, headers)
        answer = behind.getresponse()
        asked.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in DROPPED:
                asked.send_header(name, value)
        asked.end_headers()  # HTTP/1.0: the answer ends with the connection
        with contextlib.suppress(ConnectionError):  # a page that is left asks no more
            while piece := answer.read1(65_536):
                asked.wfile.write(piece)
        behind.close()
