"""Addresses of the dashboard and lines to paste, for pages, mails and messages."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from urllib.parse import urlencode

from byok.store.scope import AnyScope, words_of

IN_SHELL = "$BYOK_TOKEN"  # the place of a token, not one
ECHO_MODEL = "echo/echo-1"
PAGES = {"overview": ""} | {name: name for name in ("explore", "costs", "keys", "exports", "sql", "what_we_store", "alerts")}


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
    query = {"format": fmt} | _parameters(scope)
    return f'curl -H "Authorization: Bearer {token}" \\\n  "{web_url}/usage/export?{urlencode(query, doseq=True, safe=":")}" -o usage.{fmt}'


def usage_call(web_url: str, scope: AnyScope, group_by: Sequence[str], token: str = IN_SHELL) -> str:
    """The sums of a scope by the API."""
    query = _parameters(scope) | {"tz": scope.tz, "group_by": ",".join(group_by), "cost": "true"}
    return f'curl -H "Authorization: Bearer {token}" \\\n  "{web_url}/usage?{urlencode(query, doseq=True, safe=":,/")}"'


def python_call(web_url: str, scope: AnyScope, group_by: Sequence[str]) -> str:
    """The same in Python, with httpx."""
    query = _parameters(scope) | {"tz": scope.tz, "group_by": list(group_by), "cost": "true"}
    lines = "".join(f"    {name!r}: {list(value) if isinstance(value, tuple) else value!r},\n" for name, value in query.items())
    return (
        "import os\n\nimport httpx\n\n"
        f"query = {{\n{lines}}}\n"
        f'answer = httpx.get("{web_url}/usage", params=query, headers={{"Authorization": f"Bearer {{os.environ[\'BYOK_TOKEN\']}}"}})\n'
        "answer.raise_for_status()\n"
        'for row in answer.json()["usage"]:\n    print(row)'
    )


def _parameters(scope: AnyScope) -> dict[str, str | Sequence[object]]:
    """A scope as parameters of the API."""
    query: dict[str, str | Sequence[object]] = {"since": _instant(scope.since), "until": _instant(scope.until)}
    lists = (("vendor", scope.vendors), ("model", scope.models), ("key_id", scope.key_ids), ("status", words_of(scope.statuses)))
    return query | {name: values for name, values in lists if values}


def _instant(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
