"""Who is told: an HTTP receiver and a mail server on loopback, whose answers a test decides."""

import ssl
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult


@dataclass(frozen=True)
class Post:
    """One request as it arrived; header names in lower case."""

    path: str
    headers: dict[str, str]
    body: bytes
    at: float = field(default_factory=time.monotonic)


class _Server(ThreadingHTTPServer):
    def handle_error(self, *_: Any) -> None:
        """A sender that died is what some tests are about."""


Script = Callable[[Post, int], tuple[int, dict[str, str]]]


class Receiver:
    """Answers each POST with what `script` says of it and its number (from 0); by default 200."""

    def __init__(self, script: Script = lambda post, number: (200, {})) -> None:
        self.posts: list[Post] = []
        self.script = script
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if len(body) < int(self.headers["content-length"]):
                    return  # the sender died
                post = Post(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
                receiver.posts.append(post)
                status, headers = receiver.script(post, len(receiver.posts) - 1)
                self.send_response_only(status)
                for name, value in {"content-length": "2", "date": self.date_time_string(), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, *_: Any) -> None:
                pass

        self._server = _Server(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.origin = f"http://127.0.0.1:{self._server.server_address[1]}"
        self.url = f"{self.origin}/services/T000/B000/secretpath1234"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def __enter__(self) -> "Receiver":
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class MailServer:
    """A real SMTP server. `tls`: STARTTLS is offered and insisted on; `answers`: what DATA gets first."""

    def __init__(self, folder: Path, *, tls: bool = False, smtps: bool = False, login: tuple[str, str] | None = None) -> None:
        self.letters: list[EmailMessage] = []
        self.envelopes: list[tuple[str, list[str]]] = []
        self.answers: list[str] = []
        self.starttls: list[bool] = []
        context = certificate(folder) if tls or smtps else None
        options: dict[str, Any] = {"hostname": "127.0.0.1", "port": 0, "ready_timeout": 60}
        if login:
            options |= {"auth_required": True, "authenticator": lambda *call: AuthResult(success=_same(call[-1], login), handled=False)}
            options |= {"auth_require_tls": tls}
        if tls:
            options |= {"tls_context": context, "require_starttls": True}
        self._controller = _OnAnyPort(self, ssl_context=context if smtps else None, **options)
        self._controller.start()
        self.port: int = self._controller.port
        user = f"{login[0]}:{login[1]}@" if login else ""
        self.url = f"{'smtps' if smtps else 'smtp'}://{user}127.0.0.1:{self.port}"

    async def handle_DATA(self, server: SMTP, session: Any, envelope: Any) -> str:
        if self.answers:
            return self.answers.pop(0)
        self.letters.append(message_from_bytes(envelope.content, policy=policy.default))  # type: ignore[arg-type]
        self.envelopes.append((envelope.mail_from, envelope.rcpt_tos))
        self.starttls.append(session.ssl is not None)
        return "250 kept"

    def __enter__(self) -> "MailServer":
        return self

    def __exit__(self, *_: object) -> None:
        self._controller.stop(no_assert=True)


class _OnAnyPort(Controller):
    """The base class connects to the port that it was given, 0 included, to see whether it is there."""

    def _trigger_server(self) -> None:
        self.port = self.server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
        super()._trigger_server()


def _same(data: Any, login: tuple[str, str]) -> bool:
    return (data.login.decode(), data.password.decode()) == login


def certificate(folder: Path) -> ssl.SSLContext:
    """A certificate that the server signed itself."""
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    subprocess.run([*made, "-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context


def parts(letter: EmailMessage) -> tuple[str, str]:
    """The plain and the HTML part."""
    plain, html = letter.get_body(("plain",)), letter.get_body(("html",))
    assert plain is not None and html is not None
    return plain.get_content(), html.get_content()
