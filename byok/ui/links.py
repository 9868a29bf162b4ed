"""Addresses of the dashboard and lines to paste, for pages, mails and messages."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from urllib.parse import urlencode

from byok.store.scope import AnyScope

IN_SHELL = "$BYOK_TOKEN"  # the place of a token, not one
ECHO_MODEL = "echo/echo-1"
PAGES = {"overview": "", "explore": "explore", "keys": "keys", "exports": "exports", "sql": "sql", "what_we_store": "what_we_store"}


def page(base_url: str, name: str, filters: Mapping[str, str | Sequence[str]] | None = None) -> str:
    """The absolute address of a page with its filters, as the filter bar reads them.

    >>> page("http://localhost:8501", "overview", {"range": "30d", "vendor": ["openai"]})
    'http://localhost:8501/?range=30d&vendor=openai'
    """
    query = f"?{urlencode(filters, doseq=True)}" if filters else ""
    return f"{base_url.rstrip('/')}/{PAGES[name]}{query}"


def first_call(gateway_url: str, token: str = IN_SHELL) -> str:
    """A first call through the gateway, to the built-in vendor that needs no key."""
    return (
        f"curl {gateway_url}/v1/chat/completions \\\n"
        f'  -H "Authorization: Bearer {token}" \\\n'
        '  -H "Content-Type: application/json" \\\n'
        f"""  -d '{{"model": "{ECHO_MODEL}", "messages": [{{"role": "user", "content": "Hello"}}]}}'"""
    )


def export_call(web_url: str, scope: AnyScope, fmt: str, token: str = IN_SHELL) -> str:
    """The export of a scope by the API."""
    query: dict[str, str | Sequence[object]] = {"format": fmt, "since": _instant(scope.since), "until": _instant(scope.until)}
    for name, values in (("vendor", scope.vendors), ("model", scope.models), ("key_id", scope.key_ids), ("status", scope.statuses)):
        if values:
            query[name] = values
    return f'curl -H "Authorization: Bearer {token}" \\\n  "{web_url}/usage/export?{urlencode(query, doseq=True, safe=":")}" -o usage.{fmt}'


def _instant(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
