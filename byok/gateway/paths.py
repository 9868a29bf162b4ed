"""Which paths of a vendor are passed on, and what each means. Whatever is not listed here is refused."""

import re
from dataclasses import dataclass
from typing import Literal, NamedTuple

from byok.gateway.formats import anthropic, embeddings, gemini, gemini_interactions, ollama, openai_chat, openai_responses
from byok.gateway.formats.shape import Format
from byok.usage import Endpoint

Auth = Literal["bearer", "x-api-key", "x-goog-api-key"]

_ID = r"[A-Za-z0-9][A-Za-z0-9._-]{0,190}"
_MODEL_PATH = r"[A-Za-z0-9][A-Za-z0-9._:@+-]{0,95}(?:/[A-Za-z0-9][A-Za-z0-9._:@+-]{0,95}){0,3}"


@dataclass(frozen=True, slots=True)
class Kind:
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

    kinds: tuple[Kind, ...]


def find(family: Family, path: str, method: str) -> Kind | None:
    """Return what `method path` is in this family, None if it is not listed."""
    for kind in family.kinds:
        if method in kind.methods and kind.pattern.fullmatch(path):
            return kind
    return None


class _Style(NamedTuple):
    """What the paths of one family have in common: the key's header, and the wire format of all that name no other."""

    auth: Auth
    format: Format

    def booked(self, pattern: str, endpoint: Endpoint, fmt: Format | None = None, *, asks_usage: bool = False) -> Kind:
        return Kind(re.compile(pattern), frozenset({"POST"}), endpoint, fmt or self.format, True, self.auth, asks_usage)

    def passed(self, pattern: str, methods: str) -> Kind:
        return Kind(re.compile(pattern), frozenset(methods.split()), "other", self.format, False, self.auth)


_openai = _Style("bearer", openai_chat.FORMAT)
_anthropic = _Style("x-api-key", anthropic.FORMAT)
_gemini = _Style("x-goog-api-key", gemini.FORMAT)
_ollama = _Style("bearer", ollama.FORMAT)

OPENAI = Family(
    (
        _openai.booked(r"/chat/completions", "chat", asks_usage=True),
        _openai.booked(r"/responses", "responses", openai_responses.FORMAT),
        _openai.booked(r"/embeddings", "embeddings", embeddings.FORMAT),
        _openai.booked(r"/completions", "other", asks_usage=True),
        _openai.booked(r"/(fim|agents)/completions", "other"),
        _openai.booked(r"/responses/compact", "responses", openai_responses.FORMAT),
        _openai.booked(r"/images(/(generations|edits|variations))?", "other"),
        _openai.booked(r"/audio/(speech|transcriptions|translations)", "other"),
        _openai.booked(rf"/videos(/(generations|edits|extensions|{_ID}/remix))?", "other"),
        _openai.booked(r"/((chat/)?(moderations|classifications)|rerank|ocr|tts|stt)", "other"),
        _openai.passed(rf"/models(/{_MODEL_PATH})?", "GET"),
        _openai.passed(r"/responses/input_tokens", "POST"),
        _openai.passed(rf"/responses/{_ID}(/input_items)?", "GET DELETE"),
        _openai.passed(rf"/responses/{_ID}/cancel", "POST"),
        _openai.passed(rf"/chat/completions(/{_ID}(/messages)?)?", "GET"),
        _openai.passed(rf"/chat/completions/{_ID}", "POST DELETE"),
        _openai.passed(rf"/files(/{_ID}(/content)?)?", "GET POST DELETE"),
        _openai.passed(rf"/uploads(/{_ID}(/parts|/complete|/cancel)?)?", "GET POST"),
        _openai.passed(rf"/batches(/{_ID}([/:]cancel|/requests|/results)?)?", "GET POST"),
        _openai.passed(rf"/batch/jobs(/{_ID}(/cancel)?)?", "GET POST"),
        _openai.passed(rf"/videos(/{_ID}(/content)?)?", "GET DELETE"),
    )
)
OPENAI_CHAT = Family(OPENAI.kinds[:1])  # where no more than chat is compatible
CHAT_AND_MODELS = Family((*OPENAI_CHAT.kinds, _openai.passed(r"/models", "GET")))
ANTHROPIC = Family(
    (
        _anthropic.booked(r"/messages", "messages"),
        _anthropic.booked(r"/complete", "other"),
        _anthropic.passed(r"/messages/count_tokens", "POST"),
        _anthropic.passed(rf"/messages/batches(/{_ID}(/results|/cancel)?)?", "GET POST DELETE"),
        _anthropic.passed(rf"/models(/{_ID})?", "GET"),
        _anthropic.passed(rf"/files(/{_ID}(/content)?)?", "GET POST DELETE"),
    )
)
MESSAGES_WITH_BEARER = Family((_Style("bearer", anthropic.FORMAT).booked(r"/messages", "messages"),))  # beside OpenAI's paths
_GEMINI_MODEL = rf"/(?:models|tunedModels)/{_ID}"
GEMINI = Family(
    (
        _gemini.booked(rf"{_GEMINI_MODEL}:(generateContent|streamGenerateContent)", "generate"),
        _gemini.booked(rf"{_GEMINI_MODEL}:(embedContent|batchEmbedContents)", "embeddings", gemini.EMBEDDINGS),
        _gemini.booked(rf"{_GEMINI_MODEL}:(predict|predictLongRunning|generateAnswer)", "other"),
        _gemini.booked(r"/interactions", "other", gemini_interactions.FORMAT),
        _gemini.passed(rf"/interactions/{_ID}(/cancel)?", "GET POST DELETE"),
        _gemini.passed(rf"{_GEMINI_MODEL}:(countTokens|batchGenerateContent|asyncBatchEmbedContent)", "POST"),
        _gemini.passed(r"/(?:models|tunedModels)", "GET"),
        _gemini.passed(_GEMINI_MODEL, "GET"),
        _gemini.passed(rf"/(files|cachedContents|batches|operations)(/{_ID})?", "GET POST PATCH DELETE"),
        _gemini.passed(rf"{_GEMINI_MODEL}/operations/{_ID}", "GET"),
        _gemini.passed(rf"/files/{_ID}:download", "GET"),
        _gemini.passed(rf"/batches/{_ID}:cancel", "POST"),
    )
)
GEMINI_UPLOAD = Family((_gemini.passed(r"/files", "POST"),))
GEMINI_DOWNLOAD = Family((_gemini.passed(rf"/files/{_ID}:download", "GET"),))
OLLAMA = Family(
    (
        _ollama.booked(r"/chat", "chat"),
        _ollama.booked(r"/generate", "generate"),
        _ollama.booked(r"/embed(dings)?", "embeddings", ollama.EMBEDDINGS),
        _ollama.passed(r"/(tags|ps|version)", "GET"),
        _ollama.passed(r"/show", "POST"),
    )
)
