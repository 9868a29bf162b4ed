"""The machine: packages, settings, clock, directories, disk, ports."""

import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from byok import listening
from byok.doctor.finding import Finding, fault
from byok.gateway.vendors import useless_addresses
from byok.settings import Settings, unknown_names
from byok.supervisor import answers_ready

LEAST_FREE_BYTES = 1 << 30
_EARLIEST_CLOCK = datetime(2026, 1, 1, tzinfo=UTC)  # this software did not exist before


def check_installation(requirements: Path) -> Iterator[Finding]:
    wrong = []
    lines = requirements.read_text(encoding="utf-8").splitlines() if requirements.exists() else []
    for name, wanted in (line.split("#")[0].strip().split("==") for line in lines if "==" in line.split("#")[0]):
        try:
            found = metadata.version(name)
        except metadata.PackageNotFoundError:
            found = "missing"
        if found != wanted:
            wrong.append(f"{name} {found} instead of {wanted}")
    python = ".".join(map(str, sys.version_info[:3]))
    if wrong:
        yield fault("installation", f"Python {python}; {', '.join(wrong)}", "make install")
    else:
        yield Finding("installation", True, f"Python {python}, packages as required")


def check_settings(settings: Settings, environ: Mapping[str, str]) -> Iterator[Finding]:
    strangers = [*unknown_names(environ), *useless_addresses(settings)]
    yield Finding("settings", True, "; ".join(["make sense", *strangers]), "Check these names." if strangers else "")
    if settings.master_key is not None:
        yield Finding("settings", True, "BYOK_MASTER_KEY is in the environment", "Safer in a file: BYOK_MASTER_KEY_FILE.")
    if settings.public_url and not settings.public_gateway_url:
        said = f"the Keys page tells people to call {settings.programs_url}"
        yield Finding("settings", True, said, "If programs reach the gateway under another address: BYOK_PUBLIC_GATEWAY_URL.")


def check_clock(now: datetime) -> Iterator[Finding]:
    well = now > _EARLIEST_CLOCK
    yield Finding("clock", well, now.strftime("%Y-%m-%d %H:%M:%SZ"), "" if well else "Set the clock; is a time service (NTP) running?")


def check_directories(settings: Settings) -> Iterator[Finding]:
    if not settings.data.exists():
        yield Finding("data", True, f"{settings.data} does not exist yet; the first start makes it")
        return
    usage = [settings.usage_dir] if isinstance(settings.usage_dir, Path) else []
    for directory in (settings.data, settings.journal_dir, *usage, settings.exports_dir):
        if directory.exists():
            _probe(directory)
    yield Finding("data", True, f"{settings.data} can be written")


def check_disk(settings: Settings) -> Iterator[Finding]:
    there = next(path for path in (settings.data, *settings.data.parents) if path.exists())
    free = shutil.disk_usage(there).free
    well = free >= LEAST_FREE_BYTES
    yield Finding("disk", well, f"{free / 1e9:,.1f} GB free", "" if well else "Free some space: a full disk loses records (never answers).")


def check_ports(settings: Settings) -> Iterator[Finding]:
    for name, port, setting in (
        ("gateway", settings.gateway_port, "BYOK_GATEWAY_PORT"),
        ("web", settings.web_port, "BYOK_WEB_PORT"),
    ):
        if listening.is_free(settings.host, port):
            yield Finding("ports", True, f"{name} is not running, port {port} is free")
        elif answers_ready(settings.host, port):
            yield Finding("ports", True, f"{name} is ready on port {port}")
        else:
            remedy = f"If another program has it, set {setting}; if it is {name}, its log says why it is not ready."
            yield fault("ports", f"port {port} of {name} is taken and does not say that it is ready", remedy)


def _probe(directory: Path) -> None:
    try:
        with tempfile.TemporaryFile(dir=directory) as probe:
            probe.write(b"x")
            probe.flush()
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(directory)) from None
