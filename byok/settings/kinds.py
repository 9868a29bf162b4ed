"""What a setting may be, one type for each kind: it reads what the operator wrote, and says what is wrong with it.

A ValueError here is a fault of the setting's; `load` adds its name.
"""

import ipaddress
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, SecretStr

from byok.settings.addresses import is_host, is_http, is_origin, is_safe_origin, is_smtp

SQLITE = "sqlite:///"
_HOST = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?", re.IGNORECASE)
_MAIL_FROM = re.compile(r"[^<>@\s]+@[^<>@\s]+|[^<>@\x00-\x1f\x7f]*<[^<>@\s]+@[^<>@\s]+>")
_S3 = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9._=-]+)*/?")


def entries(text: str) -> tuple[str, ...]:
    """The entries of a comma-separated setting.

    >>> entries("hooks.slack.com, http://127.0.0.1:9009,")
    ('hooks.slack.com', 'http://127.0.0.1:9009')
    """
    return tuple(entry.strip() for entry in text.split(",") if entry.strip())


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _joined(by: str) -> Callable[[object], object]:
    """Several entries may be an array in byok.toml, as is natural there."""

    def joined(value: object) -> object:
        return by.join(value) if isinstance(value, list) and all(isinstance(entry, str) for entry in value) else value

    return joined


def _said(value: object) -> object:
    """Not an empty word: as a path that would be the working directory."""
    if value == "":
        raise ValueError("must not be empty; leave it out for the default")
    return value


def _absolute(path: Path) -> Path:
    try:
        return Path(os.path.abspath(path.expanduser()))
    except RuntimeError:
        raise ValueError("begins with ~ and a name that no user here has") from None


def _listening(host: str) -> str:
    if not is_host(host):
        raise ValueError("must be an address (0.0.0.0, ::) or a host's name alone; ports have settings of their own")
    return host


def _domains(text: str) -> str:
    if not all(is_host(entry) for entry in entries(text)):
        raise ValueError("must list domains (example.org), with commas between")
    return text


def _public_url(url: str) -> str:
    if url and not is_http(url):
        raise ValueError("must begin with http:// or https:// and name a host")
    return url


def _origin(url: str) -> str:
    if url and not is_origin(url):
        raise ValueError("must be http://host:port or https://host:port, without a path")
    return url.rstrip("/")


def _issuer(url: str) -> str:
    if url and not (is_http(url) and is_safe_origin(url)):
        raise ValueError("must begin with https:// and name a host (http:// for a loopback address only)")
    return url


def _networks(text: str) -> str:
    for entry in entries(text):
        try:
            ipaddress.ip_network(entry)
        except ValueError:
            raise ValueError("must list addresses (10.1.2.3) or networks (10.1.0.0/16), with commas between") from None
    return text


def _webhook_hosts(text: str) -> str:
    if not all(_HOST.fullmatch(entry) or is_origin(entry) for entry in entries(text)):
        raise ValueError("must list hosts (hooks.slack.com) or whole origins (http://127.0.0.1:9009), with commas between")
    return text


def _mail_server(url: SecretStr) -> SecretStr:
    if not is_smtp(url.get_secret_value()):
        raise ValueError("must be smtp://host:port or smtps://host:port, with user:password@ before the host if it asks for them")
    return url


def _sender(text: str) -> str:
    if not _MAIL_FROM.fullmatch(text.strip()):
        raise ValueError("must be an address such as byok@example.org, or a name and <byok@example.org>")
    return text.strip()


def _scopes(text: str) -> str:
    if "openid" not in text.split():
        raise ValueError("must hold openid")
    return " ".join(text.split())


def _label(text: str) -> str:
    if not text.strip() or len(text) > 40 or not text.isprintable():
        raise ValueError("must be one line of 1 to 40 characters")
    return text.strip()


def _database(url: str) -> str:
    if url == SQLITE or (url and not url.startswith((SQLITE, "postgresql+psycopg://"))):
        raise ValueError("must begin with postgresql+psycopg://, or with sqlite:/// and a file's path")
    return url


def _store(url: str) -> str:
    if url.startswith("s3://"):
        if not _S3.fullmatch(url):
            raise ValueError("must be s3://bucket/prefix, without credentials or anything else in it")
        return url.rstrip("/")
    if "://" in url:
        raise ValueError("must be a path on this machine, or s3://bucket/prefix")
    return str(_absolute(Path(url))) if url else ""


IN_ANY_CASE = BeforeValidator(_lower)

AbsolutePath = Annotated[Path, BeforeValidator(_said), AfterValidator(_absolute)]
CommaSeparated = Annotated[str, BeforeValidator(_joined(","))]
DatabaseUrl = Annotated[str, AfterValidator(_database)]
Domains = Annotated[CommaSeparated, AfterValidator(_domains)]
Issuer = Annotated[str, AfterValidator(_issuer)]
Host = Annotated[str, AfterValidator(_listening)]
Label = Annotated[str, AfterValidator(_label)]
MailServer = Annotated[SecretStr, AfterValidator(_mail_server)]
Networks = Annotated[CommaSeparated, AfterValidator(_networks)]
OidcScopes = Annotated[str, BeforeValidator(_joined(" ")), AfterValidator(_scopes)]
Origin = Annotated[str, AfterValidator(_origin)]
PublicUrl = Annotated[str, AfterValidator(_public_url)]
Sender = Annotated[str, AfterValidator(_sender)]
StoreUrl = Annotated[str, AfterValidator(_store)]
WebhookHosts = Annotated[CommaSeparated, AfterValidator(_webhook_hosts)]
