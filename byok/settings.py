"""Every setting: its type, default, unit and a sentence. Read once; all faults are reported together, by name.

Sources, strongest first: environment (`BYOK_DATA`), then `byok.toml` in the working directory (`byok_data` or `data`), then the defaults.
"""

import difflib
import ipaddress
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from byok.api_paths import API_PATHS, SIGN_IN
from byok.errors import SettingsInvalid
from byok.listening import url_of

CONFIG_FILE = "byok.toml"
_SQLITE = "sqlite:///"
_OUR_PATHS = API_PATHS | {SIGN_IN, "v1", "healthz", "readyz", "metrics"}  # of the gateway: no vendor's own could lie under them
_BASE_URL = re.compile(r"^BYOK_([A-Z0-9_]+)_BASE_URL$")

_HOST = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?", re.IGNORECASE)
_MAIL_FROM = re.compile(r"[^<>@\s]+@[^<>@\s]+|[^<>@\x00-\x1f\x7f]*<[^<>@\s]+@[^<>@\s]+>")


class RemoteStore(NamedTuple):
    """A usage table on an S3 store: its `s3://` address, and where and up to how many MB copies of its files are kept here."""

    url: str
    cache: Path
    cache_mb: int


class VendorEntry(BaseModel):
    """An OpenAI-compatible address that the operator names: `[vendors.NAME]` in byok.toml."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    base_url: str
    format: Literal["openai_chat"] = "openai_chat"
    stream_usage: bool = False  # whether the vendor knows stream_options.include_usage
    leave: Literal["cancel", "drain"] = "cancel"  # what happens upstream when the client leaves


class Settings(BaseSettings):
    """The installation's settings; frozen, passed on by the faces, never read from a global."""

    model_config = SettingsConfigDict(env_prefix="BYOK_", frozen=True, extra="ignore")

    data: Path = Field(Path("data"), description="Where journal, usage table, accounts and exports live.")
    host: str = Field("127.0.0.1", description="Address that gateway and web listen on.")
    gateway_port: int = Field(8080, ge=1, le=65535, description="Port of the gateway.")
    web_port: int = Field(8501, ge=1, le=65535, description="Port of dashboard and API.")
    gateway_workers: int = Field(1, ge=1, le=64, description="Gateway processes that share the port.")
    gateway_hosts: int = Field(1, ge=1, le=1000, description="Machines with gateways; each allows its part of a user's limits, rounded up.")
    web_url: str = Field("", description="Where gateways find web if it runs elsewhere, `http://host:port`; default: on this machine.")
    trusted_proxies: str = Field(
        "",
        description="Comma-separated addresses or networks (`10.1.0.0/16`) whose X-Forwarded-For is believed, beside this machine's own.",
    )
    master_key_file: Path = Field(Path("~/.config/byok/master.key"), description="32 bytes, base64; made on first start with mode 0600.")
    master_key: SecretStr | None = Field(None, description="The master key itself; allowed, but visible to other processes of this user.")
    accounts_url: str = Field(
        "", repr=False, description="URL of the accounts database, `postgresql+psycopg://…`; default: SQLite in the data directory."
    )
    store_url: str = Field(
        "", description="Where the usage table lies: a path or `s3://bucket/prefix`; default: `usage` in the data directory."
    )
    store_cache_mb: int = Field(20_000, ge=100, description="Most MB of an S3 store's files that are kept as copies in the data directory.")
    smtp_url: SecretStr | None = Field(
        None, description="Mail server: smtp://host:port (with STARTTLS, but for loopback) or smtps://user:pass@host:port."
    )
    mail_from: str = Field("byok@localhost", description="Sender of mails.")
    slack_hosts: str = Field(
        "hooks.slack.com",
        description="Comma-separated hosts (https) or origins (http://127.0.0.1:9009) that Slack and other webhooks may point to.",
    )
    public_url: str = Field("", description="Address under which people open the dashboard; default: http://host:web_port.")
    public_gateway_url: str = Field(
        "", description="Address under which people's programs call the gateway; default: http://host:gateway_port."
    )
    fsync: Literal["batch", "always"] = Field("batch", description="batch: at most 100 ms at risk on power loss; always: nothing.")
    journal_max_mb: int = Field(
        0, ge=0, le=10_000_000, description="Most MB of journal that may wait; beyond it records are lost and counted; 0: the disk's room."
    )
    upstream_timeout_s: float = Field(300, gt=0, le=3600, description="Longest silence of a vendor, in seconds.")
    max_body_mb: int = Field(64, ge=1, le=1024, description="Largest request body, in MB.")
    requests_per_minute: int = Field(
        0, ge=0, le=1_000_000, description="Requests each user may begin within a minute; 0: no limit. `byok user set` overrides it."
    )
    calls_at_once: int = Field(
        0, ge=0, le=1_000_000, description="Calls each user may have open at once; 0: no limit. `byok user set` overrides it."
    )
    engine: Literal["duckdb", "spark"] = Field("duckdb", description="What answers questions: `duckdb`, or `spark` (docs/scale.md).")
    spark_master: str = Field("local[2]", repr=False, description="Where Spark runs: `local[N]`, `spark://host:7077`, `sc://host`.")
    jwt_secret_file: Path | None = Field(
        None, description="Its stripped text is the HS256 secret (32 bytes or more); default: derived from the master key."
    )
    publish_every_s: float = Field(5, gt=0, le=3600, description="Seconds between publications of the journal into Parquet.")
    spike_every_s: float = Field(60, gt=0, le=86400, description="Seconds between spike checks.")
    purge_every_s: float = Field(3600, gt=0, le=86400, description="Seconds between purges.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="How much is logged; no level logs bodies, headers or secrets."
    )
    sql_console: Literal["auto", "on", "off"] = Field(
        "auto", description="The SQL page: auto, where Landlock and seccomp guard it or there is one user only; on, everywhere; off."
    )
    oidc_issuer: str = Field("", description="Sign-in service (OpenID Connect): its issuer, an https address; empty: none.")
    oidc_client_id: str = Field("", description="The name under which that service knows this installation.")
    oidc_client_secret_file: Path | None = Field(None, description="Its stripped text is the client secret; none for a public client.")
    oidc_scopes: str = Field("openid email", description="What is asked of the service, with spaces between.")
    oidc_label: str = Field("Single sign-on", description="What the button on the sign-in page says.")
    oidc_join: Literal["invited", "anyone"] = Field(
        "invited", description="invited: only whom an admin has sent a link; anyone: whoever that service lets in gets an account."
    )
    oidc_domains: str = Field("", description="Comma-separated domains; if set, only a verified e-mail of one of them gets an account.")
    oidc_plan: Literal["free", "indie", "team", "enterprise"] = Field("free", description="The plan of accounts made in this way.")
    demo: bool = Field(False, description="Show the demo banner; set by `byok up --demo`.")
    vendor_base_urls: dict[str, str] = Field(default_factory=dict, description="BYOK_<VENDOR>_BASE_URL, by vendor name in lower case.")
    vendors: dict[str, VendorEntry] = Field(default_factory=dict, description="Vendors that the operator names in byok.toml.")

    @property
    def journal_dir(self) -> Path:
        return self.data / "journal"

    @property
    def usage_dir(self) -> Path | RemoteStore:
        if self.store_url.startswith("s3://"):
            return RemoteStore(self.store_url, self.data / "usage-copies", self.store_cache_mb)
        return Path(self.store_url) if self.store_url else self.data / "usage"

    @property
    def exports_dir(self) -> Path:
        return self.data / "exports"

    @property
    def spill_dir(self) -> Path:
        return self.data / "spill"

    @property
    def keeper_lock(self) -> Path:
        """The file that a running keeper holds the lock of."""
        return self.data / "keeper.lock"

    @property
    def accounts_file(self) -> Path | None:
        """Where the SQLite database lies; None for a database server."""
        url = self.accounts_database
        return Path(url.removeprefix(_SQLITE)) if url.startswith(_SQLITE) else None

    @property
    def accounts_database(self) -> str:
        return self.accounts_url or f"{_SQLITE}{self.data / 'accounts.db'}"

    @property
    def dashboard_url(self) -> str:
        """Where people open the dashboard, without a slash at its end."""
        return self.public_url.rstrip("/") or self.web_here

    @property
    def programs_url(self) -> str:
        """Where people's programs call the gateway, without a slash at its end: for what is shown."""
        return self.public_gateway_url.rstrip("/") or self.gateway_here

    @property
    def web_here(self) -> str:
        """Where web answers on this machine."""
        return url_of(self.host, self.web_port)

    @property
    def gateway_here(self) -> str:
        """Where the gateway answers on this machine."""
        return url_of(self.host, self.gateway_port)

    @property
    def gateway_processes(self) -> int:
        """How many gateway processes serve a user, on all machines: they share nothing, so each allows its part of a limit."""
        return self.gateway_workers * self.gateway_hosts

    @property
    def webhook_hosts(self) -> tuple[str, ...]:
        """The entries of `slack_hosts`: hosts, and whole origins."""
        return tuple(_entries(self.slack_hosts))

    @property
    def proxies(self) -> tuple[str, ...]:
        """The entries of `trusted_proxies`."""
        return tuple(_entries(self.trusted_proxies))

    @field_validator("data", "master_key_file", "jwt_secret_file", "oidc_client_secret_file", mode="after")
    @classmethod
    def _absolute(cls, value: Path | None) -> Path | None:
        return None if value is None else Path(os.path.abspath(value.expanduser()))

    @field_validator("log_level", "fsync", "engine", "sql_console", "oidc_join", "oidc_plan", mode="before")
    @classmethod
    def _lower(cls, value: object) -> object:
        return value.lower() if isinstance(value, str) else value

    @field_validator("slack_hosts", "trusted_proxies", "oidc_domains", "oidc_scopes", mode="before")
    @classmethod
    def _joined(cls, value: object, about: ValidationInfo) -> object:
        """Several entries may be an array in byok.toml, as is natural there."""
        if isinstance(value, list) and all(isinstance(entry, str) for entry in value):
            return (" " if about.field_name == "oidc_scopes" else ",").join(value)
        return value

    @field_validator("public_url", "public_gateway_url")
    @classmethod
    def _public(cls, value: str) -> str:
        if value and not _is_http(value):
            raise ValueError("must begin with http:// or https:// and name a host")
        return value

    @field_validator("web_url")
    @classmethod
    def _web(cls, value: str) -> str:
        if value and not (_is_http(value) and urlsplit(value).path in ("", "/")):
            raise ValueError("must be http://host:port or https://host:port, without a path")
        return value.rstrip("/")

    @field_validator("trusted_proxies")
    @classmethod
    def _proxies(cls, value: str) -> str:
        for entry in _entries(value):
            try:
                ipaddress.ip_network(entry)
            except ValueError:
                raise ValueError("must list addresses (10.1.2.3) or networks (10.1.0.0/16), with commas between") from None
        return value

    @field_validator("slack_hosts")
    @classmethod
    def _webhook_hosts(cls, value: str) -> str:
        for entry in _entries(value):
            bare = _HOST.fullmatch(entry)
            if not bare and (not _is_http(entry) or urlsplit(entry).path.strip("/")):
                raise ValueError("must list hosts (hooks.slack.com) or whole origins (http://127.0.0.1:9009), with commas between")
        return value

    @field_validator("smtp_url")
    @classmethod
    def _smtp(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not _is_smtp(value.get_secret_value()):
            raise ValueError("must be smtp://host:port or smtps://host:port, with user:password@ before the host if it asks for them")
        return value

    @field_validator("mail_from")
    @classmethod
    def _sender(cls, value: str) -> str:
        if not _MAIL_FROM.fullmatch(value.strip()):
            raise ValueError("must be an address such as byok@example.org, or a name and <byok@example.org>")
        return value.strip()

    @field_validator("oidc_issuer")
    @classmethod
    def _issuer(cls, value: str) -> str:
        if value and not (_is_http(value) and is_safe_origin(value)):
            raise ValueError("must begin with https:// and name a host (http:// for a loopback address only)")
        return value

    @field_validator("oidc_scopes")
    @classmethod
    def _scopes(cls, value: str) -> str:
        if "openid" not in value.split():
            raise ValueError("must hold openid")
        return " ".join(value.split())

    @field_validator("oidc_label")
    @classmethod
    def _label(cls, value: str) -> str:
        if not value.strip() or len(value) > 40 or not value.isprintable():
            raise ValueError("must be one line of 1 to 40 characters")
        return value.strip()

    @field_validator("accounts_url")
    @classmethod
    def _accounts(cls, value: str) -> str:
        if value and not value.startswith((_SQLITE, "postgresql+psycopg://")):
            raise ValueError("must begin with postgresql+psycopg:// or sqlite:///")
        return value

    @field_validator("store_url")
    @classmethod
    def _store(cls, value: str) -> str:
        if value.startswith("s3://"):
            if not re.fullmatch(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9._=-]+)*/?", value):
                raise ValueError("must be s3://bucket/prefix, without credentials or anything else in it")
            return value.rstrip("/")
        if "://" in value:
            raise ValueError("must be a path on this machine, or s3://bucket/prefix")
        return os.path.abspath(Path(value).expanduser()) if value else ""

    @field_validator("vendor_base_urls")
    @classmethod
    def _base_urls(cls, value: dict[str, str]) -> dict[str, str]:
        wrong = [f"BYOK_{vendor.upper()}_BASE_URL" for vendor, url in value.items() if not _is_http(url)]
        if wrong:
            raise ValueError(f"{', '.join(wrong)} must begin with http:// or https:// and name a host")
        return value

    @field_validator("vendors")
    @classmethod
    def _vendors(cls, value: dict[str, VendorEntry]) -> dict[str, VendorEntry]:
        for name, entry in value.items():
            if not re.fullmatch(r"[a-z][a-z0-9_-]{0,30}", name):
                raise ValueError(f"the name {name!r} of a vendor must match ^[a-z][a-z0-9_-]{{0,30}}$")
            if name in _OUR_PATHS:
                raise ValueError(f"a vendor cannot be called {name!r}: the gateway answers /{name} itself")
            if not _is_http(entry.base_url):
                raise ValueError(f"vendors.{name}.base_url must begin with http:// or https:// and name a host")
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> "Settings":
        if self.gateway_port == self.web_port:
            raise ValueError("BYOK_GATEWAY_PORT and BYOK_WEB_PORT must differ")
        if self.master_key is None and self.master_key_file.is_relative_to(self.data):
            raise ValueError("BYOK_MASTER_KEY_FILE must lie outside BYOK_DATA: a copy of the data would hold the key to it")
        if bool(self.oidc_issuer) != bool(self.oidc_client_id):
            raise ValueError("BYOK_OIDC_ISSUER and BYOK_OIDC_CLIENT_ID belong together: set both or none")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)  # `load` gathers environment and file itself, so that faults can name both


def load(environ: Mapping[str, str], *, config: Path | None = None, **overrides: Any) -> Settings:
    """Return the settings, or raise `SettingsInvalid` with every fault at once.

    `overrides` are what a command line says (`data=…`); None counts as not said.
    """
    faults: list[str] = []
    values = _from_file(config or Path(CONFIG_FILE), faults)
    values |= _from_environment(environ)
    values["vendor_base_urls"] = values.pop("vendor_base_urls", {}) | {
        match[1].lower(): value for name, value in environ.items() if (match := _BASE_URL.match(name))
    }
    values |= {name: value for name, value in overrides.items() if value is not None}
    try:
        settings = Settings(**values)
    except ValidationError as error:
        faults += [_fault(e) for e in error.errors(include_input=False, include_url=False)]
    if faults:
        raise SettingsInvalid(faults)
    return settings


def unknown_names(environ: Mapping[str, str]) -> list[str]:
    """BYOK_ variables that are no setting, each with the nearest name: worth a warning, not a stop."""
    known = [f"BYOK_{name.upper()}" for name in Settings.model_fields]
    found = []
    for name in sorted(environ):
        if name.startswith("BYOK_") and name not in known and not _BASE_URL.match(name):
            near = difflib.get_close_matches(name, known, 1)
            found.append(f"{name} is no setting" + (f"; did you mean {near[0]}?" if near else ""))
    return found


def is_safe_origin(url: str) -> bool:
    """Whether nobody on the way can read or change what goes there: https, or an address of this machine."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    return parts.scheme == "https" or host in ("localhost", "::1") or re.fullmatch(r"127(\.\d{1,3}){3}", host) is not None


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    names = set(Settings.model_fields) - {"vendors", "vendor_base_urls"}
    return {name: environ[key] for name in names if environ.get(key := f"BYOK_{name.upper()}", "") != ""}


def _from_file(path: Path, faults: list[str]) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        faults.append(f"{path}: cannot be read ({type(error).__name__})")
        return {}
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        faults.append(f"{path}: is not TOML ({error})")
        return {}
    values: dict[str, Any] = {}
    base_urls: dict[str, str] = {}
    for key, value in table.items():
        name = key.lower().removeprefix("byok_")
        if match := re.fullmatch(r"([a-z0-9_]+)_base_url", name):
            base_urls[match[1]] = value
        elif name in Settings.model_fields:
            values[name] = value
        else:
            near = difflib.get_close_matches(name, list(Settings.model_fields), 1)
            faults.append(f"{path}: {key} is no setting" + (f"; did you mean {near[0]}?" if near else ""))
    return values | ({"vendor_base_urls": base_urls} if base_urls else {})


def _fault(error: Any) -> str:
    where = error["loc"]
    message = str(error["msg"]).removeprefix("Value error, ")
    if not where:
        return message
    name = f"BYOK_{str(where[0]).upper()}"
    if where[0] in ("vendors", "vendor_base_urls"):
        name = ".".join(str(part) for part in where)
    return f"{name}: {message}"


def _is_http(url: object) -> bool:
    if not isinstance(url, str):
        return False
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises for what is no port
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and not parts.username and not parts.query and not parts.fragment


def _is_smtp(url: str) -> bool:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return False
    plain = not parts.path.strip("/") and not parts.query and not parts.fragment
    return parts.scheme in ("smtp", "smtps") and bool(parts.hostname) and plain


def _entries(text: str) -> list[str]:
    return [entry.strip() for entry in text.split(",") if entry.strip()]
