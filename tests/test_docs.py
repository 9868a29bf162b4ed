"""What the documentation lists is what there is: settings, columns, routes, metrics, commands, links."""

import re
from functools import cache
from pathlib import Path

import click
import pytest

from byok.api_paths import API_PATHS, SIGN_IN
from byok.cli import cli
from byok.settings import Settings
from byok.usage import COLUMNS

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "data" / "README.md", *(ROOT / "docs").glob("*.md")])


def between(page: str, name: str) -> str:
    """The text between the marks of a checked list."""
    found = re.search(rf"<!-- {name}: .*?-->\n(.*?)<!-- end of {name} -->", (ROOT / page).read_text(), re.S)
    assert found, f"{page} has no list '{name}'"
    return found[1]


def settings_table() -> str:
    lines = ["| Setting | Default | |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        if name in ("vendor_base_urls", "vendors"):
            continue
        default = field.get_default()
        shown = "" if default is None or default == "" else f"`{str(default).lower() if isinstance(default, bool) else default}`"
        lines.append(f"| `BYOK_{name.upper()}` | {shown} | {field.description} |")
    lines.append(f"| `BYOK_<VENDOR>_BASE_URL` | | {Settings.model_fields['vendor_base_urls'].description} |")
    return "\n".join(lines) + "\n"


def columns_table() -> str:
    lines = ["| Column | Type | Meaning | Example |", "|---|---|---|---|"]
    lines += [f"| `{column.name}` | {column.type} | {column.meaning} | `{column.example}` |" for column in COLUMNS]
    return "\n".join(lines) + "\n"


@cache
def api_routes() -> dict[str, dict[str, dict[str, str]]]:
    from byok.api import create_api
    from byok.metrics import WebMetrics
    from byok.pool import Pool
    from byok.services import Services
    from byok.settings import load

    services, pool = Services(load({})), Pool(1)
    try:
        found: dict[str, dict[str, dict[str, str]]] = create_api(services, pool, WebMetrics(services)).openapi()["paths"]
    finally:
        pool.close()
    return found


def routes_table() -> str:
    lines = ["| Route | |", "|---|---|"]
    for path, methods in sorted(api_routes().items(), key=lambda entry: (entry[0].startswith("/admin"), entry[0])):
        for method, facts in methods.items():
            text = (facts.get("description") or facts.get("summary") or "").split("\n\n")[0].replace("\n", " ")
            lines.append(f"| `{method.upper()} {path}` | {text} |")
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(
    ("page", "name", "made"),
    [
        ("docs/operations.md", "settings", settings_table),
        ("docs/privacy.md", "columns", columns_table),
        ("docs/api.md", "routes", routes_table),
    ],
)
def test_a_list_is_what_the_code_says(page, name, made):
    assert between(page, name) == made(), f"write this between the marks of '{name}' in {page}:\n\n{made()}"


def test_every_path_of_the_api_is_handed_on_by_the_gateway():
    assert {path.split("/")[1] for path in api_routes()} | {"docs", "openapi.json"} == API_PATHS | {SIGN_IN}


def test_every_metric_is_described():
    described = set(re.findall(r"^\| `(byok_\w+)`", between("docs/operations.md", "metrics"), re.M))
    there = set()
    for path in (ROOT / "byok").rglob("*.py"):
        for kind, name in re.findall(r"(Counter|Gauge|Histogram|GaugeMetricFamily)\(\s*\"(byok_\w+)\"", path.read_text()):
            there.add(f"{name}_total" if kind == "Counter" else name)
    assert there
    assert described == there


def test_every_plan_is_described():
    from byok.accounts.plans import PLAN_DAYS

    for page in ("docs/guide.md", "docs/privacy.md"):
        told = dict(re.findall(r"^\| (\w+) \| (\d+) days", (ROOT / page).read_text(), re.M))
        assert told == {plan: str(days) for plan, days in PLAN_DAYS.items()}, page


def test_every_vendor_is_named():
    from byok.gateway.vendors import BUILT_IN

    guide, readme = (ROOT / "docs" / "guide.md").read_text(), (ROOT / "README.md").read_text()
    assert [name for name in BUILT_IN if not re.search(rf"\b{name}\b", guide) or not re.search(rf"\b{name}\b", readme)] == []


def test_every_base_url_of_a_client_leads_to_a_call():
    from byok.gateway.vendors import ONE_API_PATHS, native_route, vendors

    rows = re.findall(r"^\| [^|]+ \| (?:none|`(/[^`]*)`[^|]*) \| `(/[^`]+)` \|$", (ROOT / "docs" / "guide.md").read_text(), re.M)
    assert len(rows) >= 12
    for base, path in rows:
        vendor, _, rest = path[1:].partition("/")
        assert path in ONE_API_PATHS or native_route(vendors(Settings())[vendor], f"/{rest}", "POST").booked
        assert path.startswith(base)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    targets = re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text())
    assert [target for target in targets if not (page.parent / target).exists()] == []


def commands(group: click.Group, path: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
    found = set()
    for name, command in group.commands.items():
        found |= commands(command, (*path, name)) if isinstance(command, click.Group) else {(*path, name)}
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_that_are_shown_exist(page):
    """`byok word [word]` in code; the rest of the line is arguments."""
    code = re.findall(r"`([^`\n]*)`", page.read_text()) + re.findall(r"^```sh\n(.*?)^```", page.read_text(), re.M | re.S)
    known = commands(cli) | {(name,) for name in cli.commands}
    for line in (line for text in code for line in text.splitlines()):
        for words in re.findall(r"(?:^|[\s;&|(])byok ([a-z][a-z-]*)(?: ([a-z][a-z-]*))?", line):
            group = cli.commands.get(words[0])
            name = words if isinstance(group, click.Group) and words[1] else words[:1]
            assert name in known, f"{page.name}: byok {' '.join(name)}"


def test_make_targets_that_are_shown_exist():
    there = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M))
    for page in PAGES:
        shown = set(re.findall(r"`make ([a-z]+)`", page.read_text())) | set(re.findall(r"^make ([a-z]+)", page.read_text(), re.M))
        assert shown <= there, page.name
