"""Which paths of a vendor are passed on, and what each means. Whatever is not listed here is refused."""

import re
from dataclasses import dataclass
from typing import Literal

from byok.gateway.formats import anthropic, embeddings, gemini, gemini_interactions, openai_chat, openai_responses
from byok.gateway.formats.shape import Format
from byok.usage import Endpoint

Auth = Literal["bearer", "x-api-key", "x-goog-api-key"]

_ID = r"[A-Za-z0-9][A-Za-z0-9._-]{0,190}"
_MODEL_PATH = r"[A-Za-z0-9][A-Za-z0-9._:@+-]{0,95}(?:/[A-Za-z0-9][A-Za-z0-9._:@+-]{0,95}){0,3}"


@dataclass(frozen=True, slots=True)
class Call:
    """One kind of call."""

    pattern: re.Pattern[str]
    methods: frozenset[str]
    endpoint: Endpoint
    format: Format
    booked: bool
    auth: Auth
    asks_usage: bool = False  # streams of it take stream_options.include_usage


@dataclass(frozen=True, slots=True)
class Family:
    """The paths of one style of API, below a root such as `/v1`."""

    calls: tuple[Call, ...]


def find(family: Family, path: str, method: str) -> Call | None:
    """Return what `method path` is in this family, None if it is not listed."""
    for call in family.calls:
        if method in call.methods and call.pattern.fullmatch(path):
            return call
    return None


def _booked(pattern: str, endpoint: Endpoint, fmt: Format, auth: Auth, *, asks_usage: bool = False) -> Call:
    return Call(re.compile(pattern), frozenset({"POST"}), endpoint, fmt, True, auth, asks_usage)


def _passed(pattern: str, methods: str, fmt: Format, auth: Auth) -> Call:
    return Call(re.compile(pattern), frozenset(methods.split()), "other", fmt, False, auth)


_CHAT, _RESPONSES = openai_chat.FORMAT, openai_responses.FORMAT
_MESSAGES, _GENERATE, _EMBEDDINGS = anthropic.FORMAT, gemini.FORMAT, embeddings.FORMAT

OPENAI = Family(
    (
        _booked(r"/chat/completions", "chat", _CHAT, "bearer", asks_usage=True),
        _booked(r"/responses", "responses", _RESPONSES, "bearer"),
        _booked(r"/embeddings", "embeddings", _EMBEDDINGS, "bearer"),
        _booked(r"/completions", "other", _CHAT, "bearer", asks_usage=True),
        _booked(r"/(fim|agents)/completions", "other", _CHAT, "bearer"),
        _booked(r"/responses/compact", "responses", _RESPONSES, "bearer"),
        _booked(r"/images/(generations|edits|variations)", "other", _CHAT, "bearer"),
        _booked(r"/audio/(speech|transcriptions|translations)", "other", _CHAT, "bearer"),
        _booked(r"/(moderations|rerank|ocr|videos|classifications)", "other", _CHAT, "bearer"),
        _passed(rf"/models(/{_MODEL_PATH})?", "GET", _CHAT, "bearer"),
        _passed(r"/responses/input_tokens", "POST", _CHAT, "bearer"),
        _passed(rf"/responses/{_ID}(/input_items)?", "GET DELETE", _CHAT, "bearer"),
        _passed(rf"/responses/{_ID}/cancel", "POST", _CHAT, "bearer"),
        _passed(rf"/chat/completions(/{_ID}(/messages)?)?", "GET", _CHAT, "bearer"),
        _passed(rf"/chat/completions/{_ID}", "POST DELETE", _CHAT, "bearer"),
        _passed(rf"/files(/{_ID}(/content)?)?", "GET POST DELETE", _CHAT, "bearer"),
        _passed(rf"/uploads(/{_ID}(/parts|/complete|/cancel)?)?", "GET POST", _CHAT, "bearer"),
        _passed(rf"/batches(/{_ID}(/cancel)?)?", "GET POST", _CHAT, "bearer"),
        _passed(rf"/videos(/{_ID}(/content)?)?", "GET DELETE", _CHAT, "bearer"),
    )
)
OPENAI_CHAT = Family(OPENAI.calls[:1])  # where no more than chat is compatible
CHAT_AND_MODELS = Family((*OPENAI_CHAT.calls, _passed(r"/models", "GET", _CHAT, "bearer")))
ANTHROPIC = Family(
    (
        _booked(r"/messages", "messages", _MESSAGES, "x-api-key"),
        _booked(r"/complete", "other", _MESSAGES, "x-api-key"),
        _passed(r"/messages/count_tokens", "POST", _MESSAGES, "x-api-key"),
        _passed(rf"/messages/batches(/{_ID}(/results|/cancel)?)?", "GET POST DELETE", _MESSAGES, "x-api-key"),
        _passed(rf"/models(/{_ID})?", "GET", _MESSAGES, "x-api-key"),
        _passed(rf"/files(/{_ID}(/content)?)?", "GET POST DELETE", _MESSAGES, "x-api-key"),
    )
)
_GEMINI_MODEL = rf"/(?:models|tunedModels)/{_ID}"
GEMINI = Family(
    (
        _booked(rf"{_GEMINI_MODEL}:(generateContent|streamGenerateContent)", "generate", _GENERATE, "x-goog-api-key"),
        _booked(rf"{_GEMINI_MODEL}:(embedContent|batchEmbedContents)", "embeddings", gemini.EMBEDDINGS, "x-goog-api-key"),
        _booked(rf"{_GEMINI_MODEL}:(predict|predictLongRunning|generateAnswer)", "other", _GENERATE, "x-goog-api-key"),
        _booked(r"/interactions", "other", gemini_interactions.FORMAT, "x-goog-api-key"),
        _passed(rf"/interactions/{_ID}(/cancel)?", "GET POST DELETE", _GENERATE, "x-goog-api-key"),
        _passed(rf"{_GEMINI_MODEL}:(countTokens|batchGenerateContent|asyncBatchEmbedContent)", "POST", _GENERATE, "x-goog-api-key"),
        _passed(r"/(?:models|tunedModels)", "GET", _GENERATE, "x-goog-api-key"),
        _passed(_GEMINI_MODEL, "GET", _GENERATE, "x-goog-api-key"),
        _passed(rf"/(files|cachedContents|batches|operations)(/{_ID})?", "GET POST PATCH DELETE", _GENERATE, "x-goog-api-key"),
        _passed(rf"{_GEMINI_MODEL}/operations/{_ID}", "GET", _GENERATE, "x-goog-api-key"),
        _passed(rf"/files/{_ID}:download", "GET", _GENERATE, "x-goog-api-key"),
        _passed(rf"/batches/{_ID}:cancel", "POST", _GENERATE, "x-goog-api-key"),
    )
)
GEMINI_UPLOAD = Family((_passed(r"/files", "POST", _GENERATE, "x-goog-api-key"),))
