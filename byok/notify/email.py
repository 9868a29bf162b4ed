"""Mail: a message of a plain and an HTML part, handed to the operator's SMTP server over TLS (without it to loopback only)."""

import contextlib
import ipaddress
import smtplib
import socket
import ssl
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from email import policy
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from functools import partial
from typing import Any
from urllib.parse import unquote, urlsplit

import certifi

from byok.errors import ByokError
from byok.notify import outgoing
from byok.notify.findings import plain
from byok.notify.outcome import Outcome, later, refused, sent
from byok.settings import Settings

TIMEOUT_S = 20.0
REACH_TIMEOUT_S = 5.0
ANSWER_S = 60.0  # to a whole mail, which filters may look at for long: one that is given up and sent again arrives twice
GOODBYE_S = 2.0
_LONGEST_LINE = 900  # 998 is what mail allows; headers are not folded, as that would encode addresses in them
_POLICY = policy.SMTP.clone(max_line_length=_LONGEST_LINE)
PRINTED = policy.default.clone(max_line_length=_LONGEST_LINE)  # the same with the line ends of a terminal


class MailNotConfigured(ByokError):
    status, code = 409, "mail_not_configured"

    def __init__(self) -> None:
        super().__init__("No mail server is set.", remedy="The operator sets BYOK_SMTP_URL, for example smtps://user:pass@host:465.")


@dataclass(frozen=True, slots=True)
class Mail:
    """What to send to whom. `attachment` is a CSV's name and text; `unsubscribe` an address whose POST ends such mails."""

    to: str
    subject: str
    text: str
    html: str
    id: str
    unsubscribe: str | None = None
    attachment: tuple[str, str] | None = None


def message(mail: Mail, settings: Settings, now: datetime) -> EmailMessage:
    """The mail as it goes out; the HTML part is ASCII, and so is the plain part unless a name in it is not."""
    made = EmailMessage(policy=_POLICY)
    name, sender = parseaddr(settings.mail_from)
    made["From"] = Address(plain(name) or "BYOK", addr_spec=sender)
    made["To"] = Address(addr_spec=mail.to)
    made["Subject"] = plain(mail.subject)
    made["Date"] = format_datetime(now)
    made["Message-ID"] = f"<{mail.id}@{sender.rsplit('@', 1)[-1]}>"
    made["Auto-Submitted"] = "auto-generated"
    if mail.unsubscribe:
        made["List-Unsubscribe"] = f"<{mail.unsubscribe}>"
        made["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    made.set_content(mail.text, cte=_encoding(mail.text))
    html = mail.html.encode("ascii", "xmlcharrefreplace").decode()
    made.add_alternative(html, subtype="html", charset="us-ascii", cte=_encoding(html))
    if mail.attachment:
        made.add_attachment(mail.attachment[1], subtype="csv", filename=mail.attachment[0])
    return made


def send(mail: Mail, settings: Settings, now: datetime) -> Outcome:
    """Hand it to the server; says what came of it and never raises for what the other side does."""
    return _told(settings, TIMEOUT_S, lambda server: server.send_message(message(mail, settings, now)))


def reach(settings: Settings) -> Outcome:
    """Connect and sign in as `send` does, and send nothing: what came of it."""
    return _told(settings, REACH_TIMEOUT_S, lambda server: server.noop())


def _told(settings: Settings, timeout_s: float, act: Callable[[smtplib.SMTP], object]) -> Outcome:
    if settings.smtp_url is None:
        return later("no_mail_server")
    try:
        with _server(settings.smtp_url.get_secret_value(), timeout_s) as server:
            act(server)
    except _TlsMissing:
        return later("starttls_missing")
    except (smtplib.SMTPAuthenticationError, _SignInMissing):
        return later("sign_in_refused")
    except _Unanswered:
        return later("no_answer")
    except smtplib.SMTPRecipientsRefused as error:
        return _answered(max(code for code, _ in error.recipients.values()))
    except smtplib.SMTPDataError as error:
        return _answered(error.smtp_code)
    except smtplib.SMTPNotSupportedError:
        return refused("smtputf8_missing")
    except smtplib.SMTPResponseException as error:  # said of the sender or of this machine: not for good
        return later(str(error.smtp_code)) if error.smtp_code >= 200 else later("unreachable")
    except ssl.SSLError:
        return later("tls_failed")
    except (OSError, smtplib.SMTPException) as error:
        return later("timeout" if isinstance(error, TimeoutError) or isinstance(error.__context__, TimeoutError) else "unreachable")
    return sent("250")


def _encoding(text: str) -> str:
    return "7bit" if text.isascii() and max(map(len, text.splitlines()), default=0) < _LONGEST_LINE else "quoted-printable"


class _TlsMissing(Exception):
    pass


class _SignInMissing(Exception):
    pass


class _Unanswered(Exception):
    pass


def _answered(code: int) -> Outcome:
    if code >= 500:
        return refused(str(code))
    return later(str(code) if code >= 200 else "unreachable")


@contextlib.contextmanager
def _server(url: str, timeout_s: float) -> Iterator[smtplib.SMTP]:
    """Connected, encrypted and signed in."""
    parts = urlsplit(url)
    host, secure = parts.hostname or "", parts.scheme == "smtps"
    entries = socket.getaddrinfo(host, parts.port or (465 if secure else 25), type=socket.SOCK_STREAM)
    local = all(ipaddress.ip_address(entry[4][0]).is_loopback for entry in entries)
    server: smtplib.SMTP = _Secured(entries, host, timeout_s, _trusting(local)) if secure else _Plain(entries, host, timeout_s)
    try:
        server.ehlo_or_helo_if_needed()
        if not secure and server.has_extn("starttls"):
            server.starttls(context=_trusting(local))
            server.ehlo()
        elif not secure and not local:
            raise _TlsMissing
        if parts.username:
            _sign_in(server, unquote(parts.username), unquote(parts.password or ""))
        yield server
    finally:
        _leave(server)


def _sign_in(server: smtplib.SMTP, user: str, password: str) -> None:
    try:
        server.login(user, password)
    except (smtplib.SMTPResponseException, smtplib.SMTPServerDisconnected):
        raise
    except smtplib.SMTPException:  # it knows no way to sign in, or none of ours
        raise _SignInMissing from None


def _leave(server: smtplib.SMTP) -> None:
    """Whatever it answers to a goodbye, what it took before is taken."""
    with contextlib.suppress(OSError):
        if server.sock is not None:
            server.sock.settimeout(GOODBYE_S)
            server.quit()
    server.close()


class _Plain(smtplib.SMTP):
    """Connects to the very addresses that were looked up: what was said of them (loopback or not) holds."""

    def __init__(self, entries: Sequence[Any], host: str, timeout_s: float) -> None:
        self._entries = entries
        super().__init__(host, entries[0][4][1], timeout=timeout_s)

    def data(self, msg: Any) -> tuple[int, bytes]:
        return _heard_out(self, partial(super().data, msg))

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:  # noqa: ARG002 - as smtplib calls it
        return outgoing.first_that_answers(self._entries, timeout)


class _Secured(smtplib.SMTP_SSL):
    """The same with TLS from the first byte."""

    def __init__(self, entries: Sequence[Any], host: str, timeout_s: float, context: ssl.SSLContext) -> None:
        self._entries = entries
        super().__init__(host, entries[0][4][1], timeout=timeout_s, context=context)

    def data(self, msg: Any) -> tuple[int, bytes]:
        return _heard_out(self, partial(super().data, msg))

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:  # noqa: ARG002
        return self.context.wrap_socket(outgoing.first_that_answers(self._entries, timeout), server_hostname=host)


def _heard_out(server: smtplib.SMTP, hand_over: Callable[[], tuple[int, bytes]]) -> tuple[int, bytes]:
    """Nobody knows whether a server that says nothing to a whole mail has taken it: it gets time, then the mail again, under its id."""
    if server.sock is not None:
        server.sock.settimeout(ANSWER_S)
    try:
        return hand_over()
    except smtplib.SMTPServerDisconnected:
        raise _Unanswered from None


def _trusting(local: bool) -> ssl.SSLContext:
    """Certificates are checked; on loopback, where servers sign their own, nobody can stand in between."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    if local:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context
