"""Names of models: who serves them, and what may be written down."""

import random
import string
import uuid

import pytest

from byok.errors import ModelUnknown
from byok.gateway.models import booked_model, find_vendor, listing, looks_like_key, nearest
from byok.gateway.vendors import BUILT_IN

# -- who serves it --


@pytest.mark.parametrize(
    ("model", "vendor", "name"),
    [
        ("gpt-4o-mini", "openai", "gpt-4o-mini"),
        ("gpt-4o-mini-2024-07-18", "openai", "gpt-4o-mini-2024-07-18"),
        ("gpt-99-preview", "openai", "gpt-99-preview"),
        ("o3-mini", "openai", "o3-mini"),
        ("text-embedding-3-small", "openai", "text-embedding-3-small"),
        ("claude-sonnet-4-5", "anthropic", "claude-sonnet-4-5"),
        ("claude-haiku-4-5@20251001", "anthropic", "claude-haiku-4-5@20251001"),
        ("gemini-2.5-flash", "gemini", "gemini-2.5-flash"),
        ("models/gemini-2.5-flash", "gemini", "models/gemini-2.5-flash"),
        ("text-embedding-004", "gemini", "text-embedding-004"),
        ("deepseek-chat", "deepseek", "deepseek-chat"),
        ("qwen3-max", "qwen", "qwen3-max"),
        ("text-embedding-v4", "qwen", "text-embedding-v4"),
        ("minimax-m3", "minimax", "minimax-m3"),
        ("MiniMax-M3", "minimax", "MiniMax-M3"),
        ("kimi-k2.6", "moonshot", "kimi-k2.6"),
        ("grok-4", "xai", "grok-4"),
        ("mistral-large-latest", "mistral", "mistral-large-latest"),
        ("glm-4.6", "zai", "glm-4.6"),
        ("echo-1", "echo", "echo-1"),
        ("echo/echo-1", "echo", "echo-1"),
        ("openai/gpt-4o", "openai", "gpt-4o"),
        ("groq/openai/gpt-oss-20b", "groq", "openai/gpt-oss-20b"),
        ("openrouter/anthropic/claude-sonnet-4-5", "openrouter", "anthropic/claude-sonnet-4-5"),
        ("ollama/llama3:8b", "ollama", "llama3:8b"),
    ],
)
def test_a_name_leads_to_its_vendor(model: str, vendor: str, name: str):
    assert find_vendor(model) == (vendor, name)


def test_an_operators_vendor_is_found_by_its_name():
    assert find_vendor("lab/some/model", {*BUILT_IN, "lab"}) == ("lab", "some/model")


@pytest.mark.parametrize("model", ["gpt4o-mini", "claud-sonnet-4-5", "", "/", "openai/", "no-such-thing", "x" * 100_000])
def test_an_unknown_model_gets_the_nearest_names(model: str):
    with pytest.raises(ModelUnknown) as unknown:
        find_vendor(model)
    assert unknown.value.status == 404
    assert len(unknown.value.remedy) < 400
    if model == "gpt4o-mini":
        assert "gpt-4o-mini" in unknown.value.remedy


def test_a_slip_of_the_pen_finds_its_name():
    assert nearest("gpt-4o-mimi")[0] == "gpt-4o-mini"
    assert nearest("zzzzzzzzzzzz") == []


# -- what is written down --


@pytest.mark.parametrize(
    ("requested", "answered", "status", "vendor", "booked"),
    [
        ("gpt-4o-mini", "gpt-4o-mini-2024-07-18", 200, "openai", "gpt-4o-mini"),
        ("gpt-4o", "gpt-4o-2024-05-13", 200, "openai", "gpt-4o-2024-05-13"),  # its price differs, so it is an entry of its own
        ("gpt-4o-2024-08-06", None, 500, "openai", "gpt-4o"),
        ("openai/gpt-4o-mini", None, 429, "openai", "gpt-4o-mini"),
        ("claude-haiku-4-5@20251001", None, 200, "anthropic", "claude-haiku-4-5"),
        ("claude-haiku-4-5", "claude-haiku-4-5-20251001", 200, "anthropic", "claude-haiku-4-5"),
        ("deepseek-chat", "deepseek-v4-flash", 200, "deepseek", "deepseek-v4-flash"),
        ("deepseek-chat", "deepseek-chat", 200, "deepseek", "deepseek-v4-flash"),
        ("deepseek-chat", None, 401, "deepseek", "deepseek-v4-flash"),
        ("models/gemini-2.5-flash", "gemini-2.5-flash", 200, "gemini", "gemini-2.5-flash"),
        ("MiniMax-M3", "MiniMax-M3", 200, "minimax", "minimax-m3"),
        ("gpt-4o", None, 502, "groq", "gpt-4o"),  # a name of the catalogue, wherever it was asked for
        ("gpt-4o", "chat-bison-of-ours", 200, "openai", "chat-bison-of-ours"),
        ("openai/gpt-4o-mini", "openai/gpt-4o-mini", 200, "openrouter", "openai/gpt-4o-mini"),
        ("openai/gpt-4o-mini", None, 500, "openrouter", "openai/gpt-4o-mini"),
        ("llama3:8b", "llama3:8b", 200, "ollama", "llama3:8b"),
        ("llama3:8b", None, 200, "ollama", "other"),
        ("llama3:8b", "llama3:8b", 500, "ollama", "other"),
        ("text-embedding-ada-002", "text-embedding-ada-002-v2", 200, "openai", "text-embedding-ada-002"),
        ("gpt-3.5-turbo-instruct", "gpt-3.5-turbo-instruct:20230824-v2", 200, "openai", "gpt-3.5-turbo-instruct"),
        ("davinci-002", "davinci:2023-07-21-v2", 200, "openai", "davinci-002"),
        ("gemini-2.5-flash-preview-05-20", "models/gemini-2.5-flash-preview-05-20", 200, "gemini", "gemini-2.5-flash-preview"),
        ("gemini-2.5-flash-lite-preview-09-2025", None, 200, "gemini", "gemini-2.5-flash-lite"),
        ("gemini-2.5-flash-preview-09-2025", None, 200, "gemini", "gemini-2.5-flash-preview-09-2025"),  # its price differs
        ("gemini-2.5-pro-preview-05-06", None, 200, "gemini", "gemini-2.5-pro"),
        ("gpt-5.1-codex", "gpt-5.1-codex", 200, "openai", "gpt-5.1-codex"),  # a model beside gpt-5.1, not a state of it
        ("gpt-image-2", None, 200, "openai", "gpt-image-2"),  # an image says nothing of its model
        ("gpt-4o-mini-transcribe-2025-12-15", None, 200, "openai", "gpt-4o-mini-transcribe"),
        ("veo-3.1-lite-generate-preview", None, 200, "gemini", "veo-3.1-lite-generate-preview"),
        (None, "NousResearch/Nous-Hermes-2-Yi-34B", 200, "together", "NousResearch/Nous-Hermes-2-Yi-34B"),
        (None, "cognitivecomputations/dolphin-x1", 200, "openrouter", "cognitivecomputations/dolphin-x1"),
        (None, "perplexity/pplx-70b-online", 200, "openrouter", "perplexity/pplx-70b-online"),
        ("my words", "my words", 200, "ollama", "other"),
        ("sk-live-canary", "sk-live-canary", 200, "ollama", "other"),
        ("gpt-4o", "sk-live-canary", 200, "openai", "gpt-4o"),
        ("gpt-4o\ncanary", None, 200, "openai", "other"),
        ("x" * 97, "x" * 97, 200, "ollama", "other"),
        (None, None, 200, "openai", "other"),
        ("", "", 200, "openai", "other"),
    ],
)
def test_what_is_booked_is_the_model_that_answered_by_its_catalogue_name(
    requested: str | None, answered: str | None, status: int, vendor: str, booked: str
):
    assert booked_model(requested, answered, status, vendor) == booked


def test_a_name_that_an_admin_allowed_needs_no_echo():
    assert booked_model("ft-of-ours", None, 200, "openai", allowed={"ft-of-ours"}) == "ft-of-ours"
    assert booked_model("ft-of-ours", None, 500, "openai", allowed={"ft-of-ours"}) == "other"


def test_the_catalogues_names_are_no_keys():
    names = [shown["id"] for shown in listing(BUILT_IN)["data"]]
    assert len(names) >= 17
    assert [name for name in names if looks_like_key(name)] == []


def test_real_names_are_no_keys():
    providers = pytest.importorskip("genai_prices.data").providers
    names = {model.id for provider in providers for model in provider.models}
    taken = [name for name in names if looks_like_key(name)]
    assert len(names) > 1900
    assert taken == []


LETTERS = string.ascii_letters + string.digits
KEYS = {
    "letters": lambda chance: "".join(chance.choices(LETTERS, k=24)),
    "lower": lambda chance: "".join(chance.choices(string.ascii_lowercase + string.digits, k=24)),
    "hex": lambda chance: f"{chance.getrandbits(128):032x}",
    "uuid": lambda chance: str(uuid.UUID(int=chance.getrandbits(128))),
    "base64": lambda chance: "".join(chance.choices(LETTERS + "-_", k=43)),
    "Perplexity's": lambda chance: "pplx-" + "".join(chance.choices(LETTERS, k=48)),
    "a piece of Perplexity's": lambda chance: "pplx-" + "".join(chance.choices(LETTERS, k=8)),
}


@pytest.mark.parametrize("kind", KEYS)
def test_random_text_looks_like_a_key(kind: str):
    chance = random.Random(7)
    missed = sum(not looks_like_key(KEYS[kind](chance)) for _ in range(1000))
    assert missed <= 10


@pytest.mark.parametrize(
    "key",
    ["sk-ant-x", "sk-proj-1", "model:sk-live-CANARY", "gsk_a", "AKIAX", "ghp_x", "xoxb-1", "eyJh", "AIzaS", "hf_x", "byok_abcdefgh_x"],
)
def test_beginnings_of_keys(key: str):
    assert looks_like_key(key)


@pytest.mark.parametrize(
    "hidden",
    [
        "gpt-4o:sk-live-abcdef1234567",
        "ft:gpt-4o-mini:acme:sk-live-x",
        "gpt-4o-mini-2024-07-18-sk-abcdefghijkl",
        "Sk-live-abcdef",
        "sk.live.abcdef0123",
        "sk/abcdef",
        "gpt-4o+AKIAABCDEFGHIJKLMNOP",
        "gpt-4oAKIAABCDEFGHIJKLMNOP",
        "gpt-4o@ghp_abcdefghijklmnopqrst",
        "modelAIzaSyA-abcdef",
        "pplx-abcdefgh",
        "pplx-embedAbCdEfGh",
        "perplexity/pplx-70bAbCdEfGh",
        "pplx-embed-4f3a9c1b2d5e8f7a6b4c",
        "cognitivecomputationsabcd",
        "CognitiveComputations",
        "Zm9v-Word-YmF6-cXV4-Zm9v",
        "Bearer-abc",
        "4F3A9C1B2D5E8F7A6B4C3D2E1F0A9B8C",
        "4f3a-9c1b-2d5e-8f7a-6b4c-3d2e-1f0a-9b8c",
        "4f3a.9c1b.2d5e.8f7a.6b4c.3d2e.1f0a.9b8c",
        "4f3a/9c1b/2d5e/8f7a/6b4c/3d2e/1f0a/9b8c",
        "550e8400-e29b-41d4-a716-446655440000",
        "s-k-l-i-v-e-a-b-c-d-e-f-1-2-3",
        "4111-1111-1111-1111",
        "4111111111111111",
        "ada@example.org",
        "hooks.slack.com/services/T0000/B000/X",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIi.abc",
        "c2stbGl2ZS1zZWNyZXQtc2VjcmV0",
        "ONSWG4TFOQQHAYLTON3W64TE",
        "Zm9v-YmFy_YmF6-cXV4_Zm9v",
        "a1B2c3D4e5F6g7",
        "gpt-4o\n",
        "gpt-4o\0",
        "gpt\u20114o",
        "gpt-4o\u200b",
        "../../etc/passwd",
        '{"a":1}',
        "Tr0ub4dor&3",
    ],
)
def test_no_secret_hides_in_a_name_even_if_the_vendor_repeats_it_and_an_admin_allowed_it(hidden: str):
    for requested in (hidden, f"openai/{hidden}", f"ollama/{hidden}", "m-1"):
        for vendor in ("openai", "ollama", "openrouter"):
            assert booked_model(requested, hidden, 200, vendor, {hidden}) == "other"


# -- GET /v1/models --


def test_the_list_shows_what_there_are_keys_for_and_every_id_can_be_called():
    shown = listing({"openai", "groq"})
    assert shown["object"] == "list"
    assert {model["owned_by"] for model in shown["data"]} == {"openai", "groq", "echo"}
    for model in shown["data"]:
        assert model["object"] == "model"
        assert find_vendor(model["id"]).vendor == model["owned_by"]
    assert len({model["id"] for model in shown["data"]}) == len(shown["data"])


def test_every_id_of_every_vendor_can_be_called():
    for model in listing(BUILT_IN)["data"]:
        assert find_vendor(model["id"]).vendor == model["owned_by"], model
