"""The table of vendors: where a path leads, what it means, and what is never passed on."""

from types import SimpleNamespace

import pytest

from byok.errors import NotFound, PathNotAllowed
from byok.gateway import refusals
from byok.gateway.routing import Routing
from byok.gateway.vendors import BUILT_IN, ONE_API_PATHS, EndpointNotOffered, native_route, one_api_route, useless_addresses, vendors
from byok.settings import Settings, VendorEntry

NAMED = ("openai", "anthropic", "gemini", "deepseek", "qwen", "minimax", "moonshot")
NAMED += ("xai", "mistral", "groq", "openrouter", "zai", "together", "ollama", "echo")
TABLE = vendors(Settings())


def test_every_vendor_of_the_contract_is_there():
    assert set(TABLE) == set(NAMED) == BUILT_IN


@pytest.mark.parametrize(
    ("vendor", "method", "path", "endpoint", "booked", "url"),
    [
        ("openai", "POST", "/v1/chat/completions", "chat", True, "https://api.openai.com/v1/chat/completions"),
        ("openai", "POST", "/v1/completions", "other", True, "https://api.openai.com/v1/completions"),
        ("openai", "POST", "/v1/responses", "responses", True, "https://api.openai.com/v1/responses"),
        ("openai", "POST", "/v1/embeddings", "embeddings", True, "https://api.openai.com/v1/embeddings"),
        ("openai", "POST", "/v1/images/generations", "other", True, "https://api.openai.com/v1/images/generations"),
        ("openai", "POST", "/v1/audio/transcriptions", "other", True, "https://api.openai.com/v1/audio/transcriptions"),
        ("openai", "GET", "/v1/models", "other", False, "https://api.openai.com/v1/models"),
        ("openai", "GET", "/v1/models/gpt-4o", "other", False, "https://api.openai.com/v1/models/gpt-4o"),
        ("openai", "GET", "/v1/responses/resp_1", "other", False, "https://api.openai.com/v1/responses/resp_1"),
        ("openai", "DELETE", "/v1/files/file-1", "other", False, "https://api.openai.com/v1/files/file-1"),
        ("openai", "POST", "/v1/batches", "other", False, "https://api.openai.com/v1/batches"),
        ("openai", "POST", "/v1/responses/input_tokens", "other", False, "https://api.openai.com/v1/responses/input_tokens"),
        ("anthropic", "POST", "/v1/messages", "messages", True, "https://api.anthropic.com/v1/messages"),
        ("anthropic", "POST", "/v1/messages/count_tokens", "other", False, "https://api.anthropic.com/v1/messages/count_tokens"),
        ("anthropic", "POST", "/v1/chat/completions", "chat", True, "https://api.anthropic.com/v1/chat/completions"),
        ("groq", "POST", "/openai/v1/chat/completions", "chat", True, "https://api.groq.com/openai/v1/chat/completions"),
        ("zai", "POST", "/api/paas/v4/chat/completions", "chat", True, "https://api.z.ai/api/paas/v4/chat/completions"),
        ("zai", "POST", "/api/coding/paas/v4/chat/completions", "chat", True, "https://api.z.ai/api/coding/paas/v4/chat/completions"),
        ("deepseek", "POST", "/chat/completions", "chat", True, "https://api.deepseek.com/chat/completions"),
        ("deepseek", "POST", "/v1/chat/completions", "chat", True, "https://api.deepseek.com/v1/chat/completions"),
        ("deepseek", "POST", "/anthropic/v1/messages", "messages", True, "https://api.deepseek.com/anthropic/v1/messages"),
        ("openrouter", "GET", "/api/v1/models", "other", False, "https://openrouter.ai/api/v1/models"),
        ("ollama", "POST", "/v1/chat/completions", "chat", True, "http://127.0.0.1:11434/v1/chat/completions"),
        ("ollama", "POST", "/api/chat", "chat", True, "http://127.0.0.1:11434/api/chat"),
        ("ollama", "POST", "/api/generate", "generate", True, "http://127.0.0.1:11434/api/generate"),
        ("ollama", "POST", "/api/embed", "embeddings", True, "http://127.0.0.1:11434/api/embed"),
        ("ollama", "GET", "/api/tags", "other", False, "http://127.0.0.1:11434/api/tags"),
        ("ollama", "POST", "/v1/messages", "messages", True, "http://127.0.0.1:11434/v1/messages"),
        ("openrouter", "POST", "/api/v1/messages", "messages", True, "https://openrouter.ai/api/v1/messages"),
        ("openrouter", "POST", "/api/v1/images", "other", True, "https://openrouter.ai/api/v1/images"),
        ("openai", "POST", "/v1/videos", "other", True, "https://api.openai.com/v1/videos"),
        ("openai", "POST", "/v1/videos/video_1/remix", "other", True, "https://api.openai.com/v1/videos/video_1/remix"),
        ("openai", "GET", "/v1/videos/video_1/content", "other", False, "https://api.openai.com/v1/videos/video_1/content"),
        ("xai", "POST", "/v1/videos/generations", "other", True, "https://api.x.ai/v1/videos/generations"),
        ("xai", "POST", "/v1/tts", "other", True, "https://api.x.ai/v1/tts"),
        ("xai", "POST", "/v1/batches/batch_1/requests", "other", False, "https://api.x.ai/v1/batches/batch_1/requests"),
        ("xai", "GET", "/v1/batches/batch_1/results", "other", False, "https://api.x.ai/v1/batches/batch_1/results"),
        ("mistral", "POST", "/v1/chat/moderations", "other", True, "https://api.mistral.ai/v1/chat/moderations"),
        ("mistral", "POST", "/v1/chat/classifications", "other", True, "https://api.mistral.ai/v1/chat/classifications"),
        ("mistral", "POST", "/v1/batch/jobs", "other", False, "https://api.mistral.ai/v1/batch/jobs"),
        ("mistral", "GET", "/v1/batch/jobs/1a2b", "other", False, "https://api.mistral.ai/v1/batch/jobs/1a2b"),
        ("mistral", "POST", "/v1/batch/jobs/1a2b/cancel", "other", False, "https://api.mistral.ai/v1/batch/jobs/1a2b/cancel"),
    ],
)
def test_a_vendors_own_path_leads_to_its_host(vendor: str, method: str, path: str, endpoint: str, booked: bool, url: str):
    route = native_route(TABLE[vendor], path, method)
    assert (route.vendor.name, route.endpoint, route.booked, route.url) == (vendor, endpoint, booked, url)


@pytest.mark.parametrize("vendor", ["openrouter", "ollama", "lab"])
def test_messages_beside_openais_paths_take_the_key_as_those_do(vendor: str):
    table = vendors(Settings(vendors={"lab": VendorEntry(base_url="http://10.0.0.7:8000/v1")}))
    route = one_api_route(table[vendor], "/v1/messages")
    assert (route.endpoint, route.format.name, route.credential("secret")) == (
        "messages",
        "anthropic",
        (b"authorization", b"Bearer secret"),
    )
    with pytest.raises(EndpointNotOffered):
        one_api_route(table[vendor], "/v1/messages/count_tokens")


GEMINI = "/v1beta/models/gemini-2.5-flash"


@pytest.mark.parametrize(
    ("method", "path", "endpoint", "booked", "fmt"),
    [
        ("POST", f"{GEMINI}:generateContent", "generate", True, "gemini"),
        ("POST", f"{GEMINI}:streamGenerateContent", "generate", True, "gemini"),
        ("POST", f"{GEMINI}:embedContent", "embeddings", True, "gemini_embeddings"),
        ("POST", f"{GEMINI}:batchEmbedContents", "embeddings", True, "gemini_embeddings"),
        ("POST", f"{GEMINI}:countTokens", "other", False, "gemini"),
        ("POST", "/v1beta/interactions", "other", True, "gemini_interactions"),
        ("POST", "/v1beta/openai/chat/completions", "chat", True, "openai_chat"),
        ("POST", "/v1beta/openai/embeddings", "embeddings", True, "embeddings"),
        ("GET", "/v1beta/models", "other", False, "gemini"),
        ("GET", GEMINI, "other", False, "gemini"),
        ("POST", "/upload/v1beta/files", "other", False, "gemini"),
        ("POST", "/upload/v1/files", "other", False, "gemini"),
        ("GET", "/v1beta/files/abc", "other", False, "gemini"),
        ("GET", "/download/v1beta/files/batch-1a2b:download", "other", False, "gemini"),  # a batch's results
    ],
)
def test_geminis_paths_say_what_they_are(method: str, path: str, endpoint: str, booked: bool, fmt: str):
    route = native_route(TABLE["gemini"], path, method)
    assert (route.endpoint, route.booked, route.format.name) == (endpoint, booked, fmt)
    assert route.url == f"https://generativelanguage.googleapis.com{path}"


def test_the_path_names_the_model():
    assert native_route(TABLE["gemini"], f"{GEMINI}:generateContent", "POST").model == "gemini-2.5-flash"
    assert native_route(TABLE["openai"], "/v1/chat/completions", "POST").model is None
    assert native_route(TABLE["openai"], "/v1/models/gpt-4o", "GET").model is None


@pytest.mark.parametrize("vendor", NAMED)
@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "/v1",
        "/v1/",
        "/v1/organization/keys",
        "/v1/chat/completions/",
        "/v1//chat/completions",
        "//evil.example/v1/chat/completions",
        "/v1/../v1/chat/completions",
        "/v1/%2e%2e/chat/completions",
        "/v1/chat%2Fcompletions",
        "/v1@evil.example/chat/completions",
        "/v1/chat/completions?x=1",
        "/v1/chat/completions#x",
        "/v1/chat/completions\n",
        "/v1/chat/completions\\",
        "/v1/files/..",
        "/v1/files/.",
        "/v1/files/a/b/c",
        "/v1/files/a%00",
        "/v1/models/ä",
        "/v1/models/" + "a" * 500,
        "/v1beta/models/..:generateContent",
        "/v1beta/models/a/b:generateContent",
        "/v1beta/models/gemini:deleteEverything",
        "https://evil.example/v1/chat/completions",
    ],
)
def test_everything_else_is_refused(vendor: str, path: str):
    for method in ("GET", "POST", "DELETE", "PUT"):
        with pytest.raises(PathNotAllowed) as refused:
            native_route(TABLE[vendor], path, method)
        assert (refused.value.status, refused.value.code) == (404, "path_not_allowed")


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "TRACE", "CONNECT", "post", ""])
def test_methods_are_listed_too(method: str):
    with pytest.raises(PathNotAllowed):
        native_route(TABLE["anthropic"], "/v1/messages", method)


def test_a_family_is_open_only_where_the_vendor_has_it():
    for vendor, path in (("anthropic", "/v1/responses"), ("openai", "/v1/messages"), ("mistral", "/v1/messages")):
        with pytest.raises(PathNotAllowed):
            native_route(TABLE[vendor], path, "POST")


# -- the one API --


@pytest.mark.parametrize("vendor", NAMED)
@pytest.mark.parametrize("path", ONE_API_PATHS)
def test_one_api_leads_to_a_listed_path_or_says_that_there_is_none(vendor: str, path: str):
    try:
        route = one_api_route(TABLE[vendor], path)
    except EndpointNotOffered as missing:
        assert (missing.status, missing.code) == (404, "endpoint_not_offered")
        return
    assert route.booked == (not path.endswith("count_tokens"))
    assert native_route(TABLE[vendor], route.upstream_path, "POST") == route
    assert route.endpoint == {"completions": "chat", "count_tokens": "other"}.get(path.split("/")[-1], path.split("/")[-1])


@pytest.mark.parametrize("vendor", NAMED)
def test_every_vendor_takes_part_in_chat(vendor: str):
    route = one_api_route(TABLE[vendor], "/v1/chat/completions")
    assert (route.endpoint, route.format.name) == ("chat", "openai_chat")


# -- addresses of the operator --


@pytest.mark.parametrize(
    ("vendor", "base_url", "path", "url"),
    [
        ("openai", "http://127.0.0.1:9001/v1", "/v1/chat/completions", "http://127.0.0.1:9001/v1/chat/completions"),
        ("openai", "http://127.0.0.1:9001/v1/", "/v1/chat/completions", "http://127.0.0.1:9001/v1/chat/completions"),
        ("openai", "http://127.0.0.1:9001", "/v1/chat/completions", "http://127.0.0.1:9001/chat/completions"),
        ("openai", "https://proxy.example/a/b", "/v1/models", "https://proxy.example/a/b/models"),
        ("anthropic", "http://127.0.0.1:9001", "/v1/messages", "http://127.0.0.1:9001/v1/messages"),
        ("anthropic", "http://127.0.0.1:9001/x", "/v1/messages", "http://127.0.0.1:9001/x/v1/messages"),
        ("gemini", "http://[::1]:9001", f"{GEMINI}:generateContent", f"http://[::1]:9001{GEMINI}:generateContent"),
        ("groq", "http://h/v1", "/openai/v1/chat/completions", "http://h/v1/chat/completions"),
        ("zai", "http://h/p/api/paas/v4", "/api/coding/paas/v4/chat/completions", "http://h/p/api/coding/paas/v4/chat/completions"),
        ("deepseek", "http://h", "/chat/completions", "http://h/chat/completions"),
        ("deepseek", "http://h/v1", "/v1/chat/completions", "http://h/v1/chat/completions"),
        ("deepseek", "http://h/v1", "/anthropic/v1/messages", "http://h/anthropic/v1/messages"),
        ("minimax", "http://h", "/anthropic/v1/messages", "http://h/anthropic/v1/messages"),
    ],
)
def test_base_url_of_the_operator(vendor: str, base_url: str, path: str, url: str):
    table = vendors(Settings(vendor_base_urls={vendor: base_url}))
    assert native_route(table[vendor], path, "POST" if path.split("/")[-1] != "models" else "GET").url == url


def test_a_path_never_changes_the_origin():
    for vendor in TABLE.values():
        for path in ("//evil.example/x", "/@evil.example/x", "@evil.example", "/\\evil.example"):
            assert vendor.url(path).startswith(vendor.base_url.split("/v1")[0].split("/api")[0].split("/open")[0].split("/comp")[0])


def test_an_operators_own_vendor():
    entry = VendorEntry(base_url="http://10.0.0.9:8000/llm/v1", stream_usage=True, leave="drain")
    lab = vendors(Settings(vendors={"lab": entry}, vendor_base_urls={"lab": "http://127.0.0.1:1/v1"}))["lab"]
    assert (lab.stream_usage, lab.leave) == (True, "drain")
    assert one_api_route(lab, "/v1/chat/completions").url == "http://127.0.0.1:1/v1/chat/completions"
    assert native_route(lab, "/llm/v1/responses", "POST").endpoint == "responses"


def test_echo_cannot_be_moved():
    assert vendors(Settings(vendor_base_urls={"echo": "http://h"}))["echo"] == TABLE["echo"]
    with pytest.raises(ValueError, match="cannot be called 'echo'"):
        Settings(vendors={"echo": VendorEntry(base_url="http://h/v1")})


# -- credentials and usage --


@pytest.mark.parametrize(
    ("vendor", "path", "header"),
    [
        ("openai", "/v1/chat/completions", (b"authorization", b"Bearer k1")),
        ("anthropic", "/v1/messages", (b"x-api-key", b"k1")),
        ("anthropic", "/v1/chat/completions", (b"authorization", b"Bearer k1")),
        ("gemini", f"{GEMINI}:generateContent", (b"x-goog-api-key", b"k1")),
        ("gemini", "/v1beta/openai/chat/completions", (b"authorization", b"Bearer k1")),
        ("deepseek", "/anthropic/v1/messages", (b"x-api-key", b"k1")),
    ],
)
def test_how_the_key_travels(vendor: str, path: str, header: tuple[bytes, bytes]):
    assert native_route(TABLE[vendor], path, "POST").credential("k1") == header


def test_usage_is_asked_for_only_where_it_is_known():
    asking = {name for name in NAMED if one_api_route(TABLE[name], "/v1/chat/completions").asks_usage}
    assert asking == set(NAMED) - {"mistral", "openrouter", "zai", "together"}, "mistral refuses it, the others report unasked"
    assert not native_route(TABLE["openai"], "/v1/responses", "POST").asks_usage
    assert not native_route(TABLE["anthropic"], "/v1/messages", "POST").asks_usage


@pytest.mark.parametrize(
    ("path", "remedy"),
    [("/chat/completions", "lacks its /v1"), ("/v1/v1/messages", "Take /v1 off"), ("/v1beta/models/m:generateContent", "ends in /gemini")],
)
def test_a_base_url_of_the_wrong_length_is_named(path: str, remedy: str) -> None:
    routing = Routing(Settings(), SimpleNamespace(allowed_names=frozenset()))  # type: ignore[arg-type]
    with pytest.raises(NotFound, match="no such route") as refused:
        routing.target(path, "POST")
    assert remedy in refused.value.remedy


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/gemini/v1beta/nothing", "gemini"),
        ("/v1beta/models/m:generateContent", "gemini"),
        ("/gemini/v1beta/openai/nothing", "openai_chat"),
        ("/anthropic/v1/nothing", "anthropic"),
        ("/v1/messages/batches", "anthropic"),
        ("/deepseek/anthropic/v1/messages/count_tokens", "anthropic"),
        ("/qwen/apps/anthropic/v1/nothing", "anthropic"),
        ("/openrouter/api/v1/messages", "anthropic"),
        ("/openai/v1/chat/completions/chatcmpl-1/messages", "openai_chat"),
        ("/anthropic/v1/chat/completions", "openai_chat"),
        ("/openrouter/api/v1/models/anthropic/claude", "openai_chat"),
    ],
)
def test_a_refused_path_is_told_in_the_format_that_its_callers_read(path: str, name: str) -> None:
    assert refusals.format_of(path).name == name


def test_addresses_that_replace_none_are_named():
    addresses = dict.fromkeys(("openai", "my_lab", "opnai", "nobody", "echo"), "http://127.0.0.1:1/v1")
    own = {"my-lab": VendorEntry(base_url="http://10.0.0.7/v1")}
    assert useless_addresses(Settings(vendor_base_urls=addresses, vendors=own)) == [
        "BYOK_ECHO_BASE_URL does nothing: echo is built in and has no address",
        "BYOK_NOBODY_BASE_URL does nothing: no vendor is called nobody; [vendors.NAME] in byok.toml adds one",
        "BYOK_OPNAI_BASE_URL does nothing: no vendor is called opnai; did you mean openai?",
    ]
