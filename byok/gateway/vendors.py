"""The table of vendors: address, credential, paths, wire formats. A vendor that speaks a known format is one entry.

Sources: the vendors' API references, as far as each entry's paths show; `stream_usage` only for those known to accept `stream_options`.
"""

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, get_args
from urllib.parse import urlsplit

from byok.errors import ByokError, PathNotAllowed
from byok.gateway.formats.shape import Format
from byok.gateway.paths import (
    ANTHROPIC,
    CHAT_AND_MODELS,
    GEMINI,
    GEMINI_DOWNLOAD,
    GEMINI_UPLOAD,
    MESSAGES_WITH_BEARER,
    OLLAMA,
    OPENAI,
    OPENAI_CHAT,
    Auth,
    Family,
    Kind,
    find,
)
from byok.settings import Settings
from byok.usage import Endpoint

OneApiPath = Literal["/v1/chat/completions", "/v1/embeddings", "/v1/responses", "/v1/messages", "/v1/messages/count_tokens"]
Leave = Literal["cancel", "drain"]
ONE_API_PATHS: tuple[str, ...] = get_args(OneApiPath)
ECHO = "echo"
_PATH_MODEL = re.compile(r"/(?:models|tunedModels)/([^/:]+):")

_CREDENTIALS: dict[Auth, tuple[bytes, bytes]] = {
    "bearer": (b"authorization", b"Bearer "),
    "x-api-key": (b"x-api-key", b""),
    "x-goog-api-key": (b"x-goog-api-key", b""),
}


class EndpointNotOffered(ByokError):
    """The vendor of this model has no such endpoint."""

    status, code = 404, "endpoint_not_offered"

    def __init__(self, vendor: str, path: str) -> None:
        super().__init__(
            f"{vendor} offers nothing behind {path} that this gateway knows.",
            remedy=f"Use another endpoint, or the vendor's own paths under /{vendor}/.",
        )


@dataclass(frozen=True, slots=True)
class Vendor:
    """One vendor. Paths are those of its own host, as its documentation writes them."""

    name: str
    base_url: str  # what the vendor's own SDK takes; an operator may replace it
    roots: tuple[tuple[str, Family], ...]  # a path's beginning and what stands behind it
    one_api: Mapping[str, str] = field(default_factory=dict)  # path of the one API -> path of the vendor
    stream_usage: bool = False  # knows stream_options.include_usage
    leave: Leave = "cancel"  # upstream, when the client leaves
    default_base_url: str = ""

    def url(self, path: str) -> str:
        """Return the address behind one of the vendor's paths; the origin is always that of `base_url`."""
        usual = urlsplit(self.default_base_url or self.base_url).path.rstrip("/")
        base = urlsplit(self.base_url)
        here = base.path.rstrip("/")
        if path.startswith(f"{usual}/"):
            path = here + path[len(usual) :]
        elif here.endswith(usual):
            path = here.removesuffix(usual) + path
        return f"{base.scheme}://{base.netloc}{path}"


@dataclass(frozen=True, slots=True)
class Route:
    """What one path means: where it leads, how it is read, and whether it is a call to be booked."""

    vendor: Vendor
    upstream_path: str
    endpoint: Endpoint
    format: Format
    booked: bool
    auth: Auth
    asks_usage: bool  # a stream of it takes stream_options.include_usage, and this vendor knows that
    url: str
    model: str | None  # that the path itself names (Gemini)

    def credential(self, secret: str) -> tuple[bytes, bytes]:
        """Return the header that carries the vendor key."""
        name, before = _CREDENTIALS[self.auth]
        return name, before + secret.encode("latin-1", "replace")


def vendors(settings: Settings) -> dict[str, Vendor]:
    """Return all vendors by name: the built-in ones with the operator's addresses, and the operator's own."""
    table = {vendor.name: vendor for vendor in _TABLE}
    for name, entry in settings.vendors.items():
        root = urlsplit(entry.base_url).path.rstrip("/")
        own = _openai_like(
            name,
            entry.base_url,
            root=root,
            responses=f"{root}/responses",
            messages=f"{root}/messages",  # as vLLM, llama.cpp, LM Studio and others have
            stream_usage=entry.stream_usage,
        )
        table[name] = replace(own, leave=entry.leave)
    for name, base_url in settings.vendor_base_urls.items():
        if (known := _addressed(table, name)) is not None:
            table[known.name] = replace(known, base_url=base_url, default_base_url=known.base_url)
    return table


def useless_addresses(settings: Settings) -> list[str]:
    """The settings BYOK_<VENDOR>_BASE_URL that name no vendor whose address can be replaced, each with the nearest: worth a warning."""
    table = vendors(settings)
    return [_no_vendor(name, table) for name in sorted(settings.vendor_base_urls) if _addressed(table, name) is None]


def _addressed(table: Mapping[str, Vendor], name: str) -> Vendor | None:
    """The vendor whose address BYOK_<NAME>_BASE_URL replaces: a variable's name has no dash, and echo no address."""
    found = table.get(name) or table.get(name.replace("_", "-"))
    return found if found is not None and found.name != ECHO else None


def _no_vendor(name: str, table: Mapping[str, Vendor]) -> str:
    said = f"BYOK_{name.upper()}_BASE_URL does nothing: "
    if name == ECHO:
        return said + "echo is built in and has no address"
    near = difflib.get_close_matches(name, table, 1)
    return said + f"no vendor is called {name}" + (f"; did you mean {near[0]}?" if near else "; [vendors.NAME] in byok.toml adds one")


def native_route(vendor: Vendor, path: str, method: str) -> Route:
    """Return what `method path` means at this vendor. `path` is raw (not decoded), from the vendor's host, without query.

    Raises `PathNotAllowed` for whatever is not listed, so also for `..`, `//`, `@` and escapes.
    """
    for root, family in vendor.roots:
        if path.startswith(root) and (kind := find(family, path[len(root) :], method)):
            return _route(vendor, path, kind)
    raise PathNotAllowed(vendor.name)


def one_api_route(vendor: Vendor, path: str) -> Route:
    """Return where a call of the one API goes at this vendor; raises `EndpointNotOffered`."""
    there = vendor.one_api.get(path)
    if there is None:
        raise EndpointNotOffered(vendor.name, path)
    return native_route(vendor, there, "POST")


def _route(vendor: Vendor, path: str, kind: Kind) -> Route:
    model = _PATH_MODEL.search(path)
    return Route(
        vendor=vendor,
        upstream_path=path,
        endpoint=kind.endpoint,
        format=kind.format,
        booked=kind.booked,
        auth=kind.auth,
        asks_usage=kind.asks_usage and vendor.stream_usage,
        url=vendor.url(path),
        model=model[1] if model else None,
    )


def _openai_like(
    name: str,
    base_url: str,
    *,
    root: str = "/v1",
    more_roots: tuple[str, ...] = (),
    responses: str | None = None,
    embeddings: bool = True,
    anthropic: str | None = None,
    messages: str | None = None,
    own: tuple[tuple[str, Family], ...] = (),
    stream_usage: bool = False,
) -> Vendor:
    """A vendor behind OpenAI's paths under `root`; `anthropic` is the root of its Anthropic-compatible paths.

    `messages` is the only one of these for those that have it beside OpenAI's, under the same root and with the same header for the key.
    `own` are roots of a format of the vendor's own.
    """
    root = root.rstrip("/")
    one_api = {"/v1/chat/completions": f"{root}/chat/completions"}
    roots: list[tuple[str, Family]] = [(there, OPENAI) for there in (root, *more_roots)]
    if embeddings:
        one_api["/v1/embeddings"] = f"{root}/embeddings"
    if responses is not None:
        one_api["/v1/responses"] = responses
    if anthropic is not None:
        one_api["/v1/messages"] = f"{anthropic}/messages"
        one_api["/v1/messages/count_tokens"] = f"{anthropic}/messages/count_tokens"
        roots.append((anthropic, ANTHROPIC))
    if messages is not None:
        one_api["/v1/messages"] = messages
        roots.append((root, MESSAGES_WITH_BEARER))
    return Vendor(name, base_url, (*roots, *own), one_api, stream_usage=stream_usage)


_GEMINI_UPLOADS = tuple((f"/upload/{version}", GEMINI_UPLOAD) for version in ("v1beta", "v1alpha", "v1"))  # the SDK's own version
_GEMINI_DOWNLOADS = (("/download/v1beta", GEMINI_DOWNLOAD),)  # of a batch's results
_TABLE: tuple[Vendor, ...] = (
    _openai_like("openai", "https://api.openai.com/v1", responses="/v1/responses", stream_usage=True),
    Vendor(
        "anthropic",
        "https://api.anthropic.com",
        roots=(("/v1", ANTHROPIC), ("/v1", OPENAI_CHAT)),
        one_api={path: path for path in ("/v1/messages", "/v1/messages/count_tokens", "/v1/chat/completions")},
        stream_usage=True,
    ),
    Vendor(
        "gemini",
        "https://generativelanguage.googleapis.com",
        roots=(
            ("/v1beta/openai", OPENAI),
            ("/v1beta", GEMINI),
            ("/v1alpha", GEMINI),
            ("/v1", GEMINI),
            *_GEMINI_UPLOADS,
            *_GEMINI_DOWNLOADS,
        ),
        one_api={"/v1/chat/completions": "/v1beta/openai/chat/completions", "/v1/embeddings": "/v1beta/openai/embeddings"},
        stream_usage=True,
    ),
    _openai_like(
        "deepseek",
        "https://api.deepseek.com/v1",
        more_roots=("/beta", ""),
        responses="/responses",
        embeddings=False,
        anthropic="/anthropic/v1",
        stream_usage=True,
    ),
    _openai_like(
        "qwen",
        "https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
        root="/compatible-mode/v1",
        more_roots=("/api/v2/apps/protocols/compatible-mode/v1",),
        responses="/api/v2/apps/protocols/compatible-mode/v1/responses",
        anthropic="/apps/anthropic/v1",
        stream_usage=True,
    ),
    _openai_like(
        "minimax",
        "https://api.minimax.io/v1",
        responses="/v1/responses",
        embeddings=False,
        anthropic="/anthropic/v1",
        stream_usage=True,
    ),
    _openai_like("moonshot", "https://api.moonshot.ai/v1", embeddings=False, anthropic="/anthropic/v1", stream_usage=True),
    _openai_like("xai", "https://api.x.ai/v1", responses="/v1/responses", stream_usage=True),
    _openai_like("mistral", "https://api.mistral.ai/v1"),  # refuses stream_options (422), and reports in the last chunk unasked
    # Reports in x_groq unasked, in full only when asked: https://console.groq.com/docs/api-reference#chat-create
    _openai_like("groq", "https://api.groq.com/openai/v1", root="/openai/v1", responses="/openai/v1/responses", stream_usage=True),
    # Always reports, stream_options has no effect: https://openrouter.ai/docs/use-cases/usage-accounting
    _openai_like("openrouter", "https://openrouter.ai/api/v1", root="/api/v1", responses="/api/v1/responses", messages="/api/v1/messages"),
    # Reports in the last chunk unasked: https://docs.z.ai/guides/capabilities/streaming
    _openai_like(
        "zai",
        "https://api.z.ai/api/paas/v4",
        root="/api/paas/v4",
        more_roots=("/api/coding/paas/v4",),
        anthropic="/api/anthropic/v1",
    ),
    _openai_like("together", "https://api.together.xyz/v1"),  # whether it takes stream_options is not known to us, so it is not asked
    _openai_like(
        "ollama",
        "http://127.0.0.1:11434/v1",
        more_roots=("",),
        responses="/v1/responses",
        messages="/v1/messages",  # https://docs.ollama.com/api/anthropic-compatibility
        own=(("/api", OLLAMA),),
        stream_usage=True,
    ),
    Vendor(
        ECHO,
        "http://echo.invalid/v1",
        roots=(("/v1", CHAT_AND_MODELS),),
        one_api={"/v1/chat/completions": "/v1/chat/completions"},
        stream_usage=True,
    ),
)
BUILT_IN = frozenset(vendor.name for vendor in _TABLE)
