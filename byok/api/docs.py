"""GET /docs: every route with its parameters and an example, made from the OpenAPI; nothing is loaded from elsewhere."""

import json
from typing import Any

from fastapi import FastAPI, Request
from starlette.responses import Response

from byok import pages_html


async def page(request: Request) -> Response:
    """The page itself; it says nothing about anyone, so it asks for no sign-in."""
    api: FastAPI = request.app
    base = request.app.state.services.settings.dashboard_url
    routes = [
        {"method": method.upper(), "path": path, "about": found, "parameters": _rows(found), "body": _body(api, found), "curl": ""}
        for path, methods in api.openapi()["paths"].items()
        for method, found in methods.items()
    ]
    for route in routes:
        route["curl"] = _curl(base, route)
    return pages_html.render("docs.html", request.scope, routes=routes, title="API")


def operation(api: FastAPI, path: str, method: str) -> dict[str, Any]:
    """The OpenAPI operation of a route, empty for a route that is in none."""
    found: dict[str, Any] = api.openapi()["paths"].get(path, {}).get(method.lower(), {})
    return found


def body_properties(api: FastAPI, found: dict[str, Any]) -> dict[str, Any]:
    """The fields of an operation's JSON body, by name."""
    properties: dict[str, Any] = _body_schema(api, found).get("properties", {})
    return properties


def _body_schema(api: FastAPI, found: dict[str, Any]) -> dict[str, Any]:
    schema = found.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    for part in (schema, *schema.get("anyOf", ())):
        if "$ref" in part:
            named: dict[str, Any] = api.openapi()["components"]["schemas"][part["$ref"].rsplit("/", 1)[-1]]
            return named
    return {}


def _body(api: FastAPI, found: dict[str, Any]) -> str:
    examples = _body_schema(api, found).get("examples")
    return json.dumps(examples[0], ensure_ascii=False) if examples else ""


def _rows(found: dict[str, Any]) -> list[dict[str, str]]:
    return [
        {
            "name": parameter["name"],
            "needed": "yes" if parameter.get("required") else "",
            "about": parameter.get("description") or parameter["schema"].get("description", ""),
            "values": _values(parameter["schema"]),
        }
        for parameter in found.get("parameters", [])
    ]


def _values(schema: dict[str, Any]) -> str:
    for part in (schema, *schema.get("anyOf", ())):
        if "enum" in part:
            return ", ".join(map(str, part["enum"]))
    return ""


def _curl(base: str, route: dict[str, Any]) -> str:
    method = "" if route["method"] == "GET" else f" -X {route['method']}"
    query = "?confirm=true" if route["method"] == "DELETE" and route["path"] == "/usage" else ""
    body = f" -H 'content-type: application/json' -d '{route['body']}'" if route["body"] else ""
    return f"curl{method} -H \"Authorization: Bearer $BYOK_TOKEN\"{body} '{base}{route['path']}{query}'"
