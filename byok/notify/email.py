"""Mail: a message of a plain and an HTML part, handed to the operator's SMTP server over TLS (without it to loopback only)."""

import ipaddress
import smtplib
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from email import policy
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from typing import Any
from urllib.parse import unquote, urlsplit

import certifi

from byok.errors import ByokError
from byok.notify.findings import plain
from byok.notify.outcome import Outcome, later, refused, sent
from byok.settings import Settings

TIMEOUT_S = 20.0
REACH_TIMEOUT_S = 5.0
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
    except smtplib.SMTPAuthenticationError:
        return later("sign_in_refused")
    except smtplib.SMTPRecipientsRefused as error:
        return _answered(max(code for code, _ in error.recipients.values()))
    except smtplib.SMTPNotSupportedError:
        return refused("smtputf8_missing")
    except smtplib.SMTPResponseException as error:
        return _answered(error.smtp_code)
    except ssl.SSLError:
        return later("tls_failed")
    except TimeoutError:
        return later("timeout")
    except (OSError, smtplib.SMTPException):
        return later("unreachable")
    return sent("250")


def _encoding(text: str) -> str:
    return "7bit" if text.isascii() and max(map(len, text.splitlines()), default=0) < _LONGEST_LINE else "quoted-printable"


class _TlsMissing(Exception):
    pass


def _answered(code: int) -> Outcome:
    return refused(str(code)) if code >= 500 else later(str(code))


def _server(url: str, timeout_s: float) -> smtplib.SMTP:
    """Connected, encrypted and signed in."""
    parts = urlsplit(url)
    host, secure = parts.hostname or "", parts.scheme == "smtps"
    entry = socket.getaddrinfo(host, parts.port or (465 if secure else 25), type=socket.SOCK_STREAM)[0]
    local = ipaddress.ip_address(entry[4][0]).is_loopback
    server: smtplib.SMTP = _Secured(entry, host, timeout_s, _trusting(local)) if secure else _Plain(entry, host, timeout_s)
    try:
        server.ehlo_or_helo_if_needed()
        if not secure and server.has_extn("starttls"):
            server.starttls(context=_trusting(local))
            server.ehlo()
        elif not secure and not local:
            raise _TlsMissing
        if parts.username:
            server.login(unquote(parts.username), unquote(parts.password or ""))
    except BaseException:
        server.close()
        raise
    return server


class _Plain(smtplib.SMTP):
    """Connects to the very address that was looked up: what was said of it (loopback or not) holds."""

    def __init__(self, entry: Any, host: str, timeout_s: float) -> None:
        self._entry = entry
        super().__init__(host, entry[4][1], timeout=timeout_s)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:  # noqa: ARG002 - as smtplib calls it
        return _connected(self._entry, timeout)


class _Secured(smtplib.SMTP_SSL):
    """The same with TLS from the first byte."""

    def __init__(self, entry: Any, host: str, timeout_s: float, context: ssl.SSLContext) -> None:
        self._entry = entry
        super().__init__(host, entry[4][1], timeout=timeout_s, context=context)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:  # noqa: ARG002
        return self.context.wrap_socket(_connected(self._entry, timeout), server_hostname=host)


def _connected(entry: Any, timeout: float) -> socket.socket:
    raw = socket.socket(entry[0], entry[1], entry[2])
    raw.settimeout(timeout)
    try:
        raw.connect(entry[4])
    except BaseException:
        raw.close()
        raise
    return raw


def _trusting(local: bool) -> ssl.SSLContext:
    """Certificates are checked; on loopback, where servers sign their own, nobody can stand in between."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    if local:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context
