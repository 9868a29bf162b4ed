"""Every setting: its type, default, unit and a sentence. Read once; all faults are reported together, by name.

Sources, strongest first: environment (`BYOK_DATA`), then `byok.toml` in the working directory (`byok_data` or `data`), then the defaults.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from byok.api_paths import API_PATHS, SIGN_IN
from byok.errors import SettingsInvalid
from byok.listening import url_of
from byok.settings import kinds, sources
from byok.settings.addresses import is_http

CONFIG_FILE = "byok.toml"
_OUR_PATHS = API_PATHS | {SIGN_IN, "v1", "healthz", "readyz", "metrics"}  # of the gateway: no vendor's own could lie under them


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


def _lies_in(file: Path, directory: Path) -> bool:
    """Whether a file is in a directory by its name, or by where links lead."""
    return file.is_relative_to(directory) or file.resolve().is_relative_to(directory.resolve())


class Settings(BaseSettings):
    """The installation's settings; frozen, passed on by the faces, never read from a global."""

    model_config = SettingsConfigDict(env_prefix="BYOK_", frozen=True, extra="ignore")

    data: kinds.AbsolutePath = Field(Path("data"), description="Where journal, usage table, accounts and exports live.")
    host: kinds.Host = Field("127.0.0.1", description="Address that gateway and web listen on.")
    gateway_port: int = Field(8080, ge=1, le=65535, description="Port of the gateway.")
    web_port: int = Field(8501, ge=1, le=65535, description="Port of dashboard and API.")
    gateway_workers: int = Field(1, ge=1, le=64, description="Gateway processes that share the port.")
    gateway_hosts: int = Field(1, ge=1, le=1000, description="Machines with gateways; each allows its part of a user's limits, rounded up.")
    web_url: kinds.Origin = Field(
        "", description="Where gateways find web if it runs elsewhere, `http://host:port`; default: on this machine."
    )
    trusted_proxies: kinds.Networks = Field(
        "",
        description="Comma-separated addresses or networks (`10.1.0.0/16`) whose X-Forwarded-For is believed, beside this machine's own.",
    )
    master_key_file: kinds.AbsolutePath = Field(
        Path("~/.config/byok/master.key"), description="32 bytes, base64; made on first start with mode 0600."
    )
    master_key: SecretStr | None = Field(None, description="The master key itself; allowed, but visible to other processes of this user.")
    accounts_url: kinds.DatabaseUrl = Field(
        "", repr=False, description="URL of the accounts database, `postgresql+psycopg://…`; default: SQLite in the data directory."
    )
    store_url: kinds.StoreUrl = Field(
        "", description="Where the usage table lies: a path or `s3://bucket/prefix`; default: `usage` in the data directory."
    )
    store_cache_mb: int = Field(20_000, ge=100, description="Most MB of an S3 store's files that are kept as copies in the data directory.")
    smtp_url: kinds.MailServer | None = Field(
        None, description="Mail server: smtp://host:port (with STARTTLS, but for loopback) or smtps://user:pass@host:port."
    )
    mail_from: kinds.Sender = Field("byok@localhost", description="Sender of mails.")
    slack_hosts: kinds.WebhookHosts = Field(
        "hooks.slack.com",
        description="Comma-separated hosts (https) or origins (http://127.0.0.1:9009) that Slack and other webhooks may point to.",
    )
    public_url: kinds.PublicUrl = Field("", description="Address under which people open the dashboard; default: http://host:web_port.")
    public_gateway_url: kinds.PublicUrl = Field(
        "", description="Address under which people's programs call the gateway; default: http://host:gateway_port."
    )
    fsync: Annotated[Literal["batch", "always"], kinds.IN_ANY_CASE] = Field(
        "batch", description="batch: at most 100 ms at risk on power loss; always: nothing."
    )
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
    engine: Annotated[Literal["duckdb", "spark"], kinds.IN_ANY_CASE] = Field(
        "duckdb", description="What answers questions: `duckdb`, or `spark` (docs/scale.md)."
    )
    spark_master: str = Field("local[2]", repr=False, description="Where Spark runs: `local[N]`, `spark://host:7077`, `sc://host`.")
    jwt_secret_file: kinds.AbsolutePath | None = Field(
        None, description="Its stripped text is the HS256 secret (32 bytes or more); default: derived from the master key."
    )
    publish_every_s: float = Field(5, gt=0, le=3600, description="Seconds between publications of the journal into Parquet.")
    spike_every_s: float = Field(60, gt=0, le=86400, description="Seconds between spike checks.")
    purge_every_s: float = Field(3600, gt=0, le=86400, description="Seconds between purges.")
    log_level: Annotated[Literal["debug", "info", "warning", "error"], kinds.IN_ANY_CASE] = Field(
        "info", description="How much is logged; no level logs bodies, headers or secrets."
    )
    sql_console: Annotated[Literal["auto", "on", "off"], kinds.IN_ANY_CASE] = Field(
        "auto", description="The SQL page: auto, where Landlock and seccomp guard it or there is one user only; on, everywhere; off."
    )
    oidc_issuer: kinds.Issuer = Field("", description="Sign-in service (OpenID Connect): its issuer, an https address; empty: none.")
    oidc_client_id: str = Field("", description="The name under which that service knows this installation.")
    oidc_client_secret_file: kinds.AbsolutePath | None = Field(
        None, description="Its stripped text is the client secret; none for a public client."
    )
    oidc_scopes: kinds.OidcScopes = Field("openid email", description="What is asked of the service, with spaces between.")
    oidc_label: kinds.Label = Field("Single sign-on", description="What the button on the sign-in page says.")
    oidc_join: Annotated[Literal["invited", "anyone"], kinds.IN_ANY_CASE] = Field(
        "invited", description="invited: only whom an admin has sent a link; anyone: whoever that service lets in gets an account."
    )
    oidc_domains: kinds.Domains = Field(
        "", description="Comma-separated domains; if set, only a verified e-mail of one of them gets an account."
    )
    oidc_plan: Annotated[Literal["free", "indie", "team", "enterprise"], kinds.IN_ANY_CASE] = Field(
        "free", description="The plan of accounts made in this way."
    )
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
        return Path(url.removeprefix(kinds.SQLITE)) if url.startswith(kinds.SQLITE) else None

    @property
    def accounts_database(self) -> str:
        return self.accounts_url or f"{kinds.SQLITE}{self.data / 'accounts.db'}"

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
        return kinds.entries(self.slack_hosts)

    @property
    def proxies(self) -> tuple[str, ...]:
        """The entries of `trusted_proxies`."""
        return kinds.entries(self.trusted_proxies)

    @field_validator("*", mode="before")
    @classmethod
    def _numbers(cls, value: object, field: ValidationInfo) -> object:
        """In TOML `true` is no number, though Python counts it as 1."""
        if isinstance(value, bool) and cls.model_fields[field.field_name or ""].annotation in (int, float):
            raise ValueError("must be a number, not true or false")
        return value

    @field_validator("vendor_base_urls")
    @classmethod
    def _base_urls(cls, value: dict[str, str]) -> dict[str, str]:
        wrong = [f"BYOK_{vendor.upper()}_BASE_URL" for vendor, url in value.items() if not is_http(url)]
        if wrong:
            raise ValueError(f"{', '.join(wrong)} must begin with http:// or https:// and name a host")
        return value

    @field_validator("vendors")
    @classmethod
    def _vendors(cls, value: dict[str, VendorEntry]) -> dict[str, VendorEntry]:
        for name, entry in value.items():
            if not re.fullmatch(r"[a-z][a-z0-9_-]{0,30}", name):
                raise ValueError(f"the name {name!r} of a vendor must match ^[a-z][a-z0-9_-]{{0,30}}$")
            if name == "echo":
                raise ValueError("a vendor cannot be called 'echo': the built-in one answers here; choose another name")
            if name in _OUR_PATHS:
                raise ValueError(f"a vendor cannot be called {name!r}: the gateway answers /{name} itself")
            if not is_http(entry.base_url):
                raise ValueError(f"vendors.{name}.base_url must begin with http:// or https:// and name a host")
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> "Settings":
        if self.gateway_port == self.web_port:
            raise ValueError("BYOK_GATEWAY_PORT and BYOK_WEB_PORT must differ")
        if self.master_key is None and _lies_in(self.master_key_file, self.data):
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
    known, faults = Settings.model_fields, list[str]()
    values = sources.from_file(config or Path(CONFIG_FILE), known, faults)
    values |= sources.from_environment(environ, known)
    values["vendor_base_urls"] = values.pop("vendor_base_urls", {}) | sources.base_urls(environ)
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
    return sources.unknown_names(environ, Settings.model_fields)


def _fault(error: Any) -> str:
    where = error["loc"]
    message = str(error["msg"]).removeprefix("Value error, ")
    if not where:
        return message
    name = f"BYOK_{str(where[0]).upper()}"
    if where[0] in ("vendors", "vendor_base_urls"):
        name = ".".join(str(part) for part in where)
    if error["type"] == "extra_forbidden":
        message = "a vendor has no such entry; what stands below [vendors.NAME] is that vendor's, so other settings go above it"
    return f"{name}: {message}"
