"""The server of a live page: for this machine only, read-only, and under a random path."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Semaphore, Thread
from typing import Any

from ...system import PORTS_ARE_HELD
from ..show.page import asset, document, embedded
from .board import Board, Reader

HOST = "127.0.0.1"

PAUSE = 0.5
"""The least seconds between two messages to a browser."""

SILENCE = 15.0
"""Seconds without news after which an empty line is sent, to detect a lost connection."""

MODULES = ("format", "graph", "layout", "details", "view", "picture", "play", "outline", "main", "charts", "live")

POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors {}"
)

NOTEBOOKS = "http://127.0.0.1:* http://localhost:*"
"""The pages that may show a training of a notebook in a frame: those of this machine, for http stands for https, too."""

HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def page(data: str) -> str:
    """The text of the page. `data` is JSON: all data, or "null" if the page gets its data from the server."""
    texts = {"LIVESTYLE": asset("live.css", __package__)}
    return document("live.html", MODULES, texts, __package__).replace("@DATA@", data)


MOST = 40
"""The most connections at a time, each of which has a thread. A browser opens six at most."""

IDLE = 10.0
"""Seconds after which a connection that asks for nothing is closed."""

POLL = 0.05
"""Seconds after which the server looks whether it is to end: as long as `close` may take."""


class Server:
    """Serves a board until it is closed. Only a notebook may show it in a frame, and only if `in_notebook`.

    Raises:
        OSError: if the port is taken.
    """

    def __init__(self, board: Board, graph: Callable[[], str], port: int, in_notebook: bool) -> None:
        self.board = board
        self.graph = graph
        self.headers = {**HEADERS, "Content-Security-Policy": POLICY.format(NOTEBOOKS if in_notebook else "'none'")}
        self.token = secrets.token_urlsafe(16)
        self.closed = Event()
        self._process = os.getpid()
        try:
            self._http = _Http((HOST, port), _Handler)
        except OSError as error:
            raise OSError(
                error.errno,
                f"Live: port {port} cannot be used: {error.strerror}; omit `port` to use a free one",
            ) from None
        self._http.owner = self
        self.port = self._http.server_address[1]
        Thread(target=self._http.serve_forever, args=(POLL,), name="live", daemon=True).start()

    @property
    def address(self) -> str:
        """The address of the page."""
        return f"http://{HOST}:{self.port}/{self.token}/"

    def close(self) -> None:
        """Stop the server."""
        self.closed.set()
        if self._process == os.getpid():  # not in a forked process, which has none of the threads
            with self.board.changed:
                self.board.changed.notify_all()
            self._http.shutdown()
        self._http.server_close()


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = PORTS_ARE_HELD
    request_queue_size = 128  # connections that wait to be answered
    owner: Server

    def __init__(self, *arguments: Any) -> None:
        self._free = Semaphore(MOST)
        super().__init__(*arguments)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread, or close the connection if there are too many."""
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer, and make room for another connection."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print nothing: a browser that closes its connection is not an error."""


class _Handler(BaseHTTPRequestHandler):
    server: _Http
    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        super().setup()
        self.connection.settimeout(IDLE)

    def do_GET(self) -> None:
        owner = self.server.owner
        hosts = (f"{HOST}:{owner.port}", f"localhost:{owner.port}")
        if self.headers.get("Host") not in hosts:  # DNS rebinding: another site's name may resolve to this machine
            self._answer(403, "text/plain", "this address is for the browser of this machine")
            return
        prefix = f"/{owner.token}/"
        path = self.path.partition("?")[0]
        if not secrets.compare_digest(path[: len(prefix)].encode(), prefix.encode()):
            self._answer(404, "text/plain", "there is nothing here")
        elif path == prefix:
            self._answer(200, "text/html", page("null"))
        elif path == f"{prefix}graph.json":
            self._answer(200, "application/json", owner.graph())
        elif path == f"{prefix}events":
            self._stream()
        else:
            self._answer(404, "text/plain", "there is nothing here")

    do_HEAD = do_GET

    def _answer(self, status: int, kind: str, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        for name, value in {
            **self.server.owner.headers,
            "Content-Type": f"{kind}; charset=utf-8",
            "Content-Length": str(len(body)),
        }.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _stream(self) -> None:
        """Server-sent events: first all data, then what is new, until the browser disconnects."""
        owner = self.server.owner
        self.send_response(200)
        for name, value in {**owner.headers, "Content-Type": "text/event-stream", "Connection": "close"}.items():
            self.send_header(name, value)
        self.end_headers()
        self.close_connection = True
        if self.command == "HEAD":
            return
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        reader = Reader(owner.board)
        try:
            while not owner.closed.is_set():
                news = reader.wait(SILENCE)
                self.wfile.write(f"data: {embedded(reader.message())}\n\n".encode() if news else b":\n\n")
                self.wfile.flush()
                owner.closed.wait(PAUSE)
        except OSError:  # the browser has disconnected
            return

    def version_string(self) -> str:
        return "tinygrad_cnn"

    def log_message(self, *_: Any) -> None:
        """Print nothing: the terminal shows the training's output."""
