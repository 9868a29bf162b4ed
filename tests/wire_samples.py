"""Small answers in every wire format, with invented text: `tests/wire/<format>/`, and in `expected.json` there what each one says."""

import json
from dataclasses import dataclass
from pathlib import Path

from byok.gateway.formats import anthropic, embeddings, gemini, gemini_interactions, ollama, openai_chat, openai_responses
from byok.gateway.formats.shape import Format
from byok.gateway.reading import Outcome, Reading
from byok.usage import TokenCounts, UsageSource

_FOLDER = Path(__file__).parent / "wire"
FORMATS = {
    "anthropic": anthropic.FORMAT,
    "embeddings": embeddings.FORMAT,
    "gemini": gemini.FORMAT,
    "gemini_interactions": gemini_interactions.FORMAT,
    "ollama": ollama.FORMAT,
    "ollama_embeddings": ollama.EMBEDDINGS,
    "openai_chat": openai_chat.FORMAT,
    "openai_responses": openai_responses.FORMAT,
}


@dataclass(frozen=True)
class WireSample:
    """One answer of a vendor as it comes over the wire, and what must be read of it."""

    format: Format
    name: str
    body: bytes
    counts: TokenCounts
    usage_source: UsageSource
    model: str | None
    failure: int | None
    complete: bool

    def __str__(self) -> str:
        return f"{self.format.name}/{self.name}"

    @property
    def streamed(self) -> bool:
        return self.name.endswith((".sse", ".ndjson"))

    @property
    def content_type(self) -> str:
        if self.name.endswith(".ndjson"):
            return "application/x-ndjson"
        return "text/event-stream; charset=utf-8" if self.streamed else "application/json"

    def check(self, outcome: Outcome) -> None:
        """Assert that this is what was read."""
        assert outcome.counts == self.counts
        assert outcome.usage_source == self.usage_source
        assert outcome.model == self.model
        assert outcome.failure_status == self.failure
        assert outcome.complete == self.complete


def wire_samples(*formats: str) -> list[WireSample]:
    """All samples, or those of some formats."""
    return [sample for name in formats or FORMATS for sample in _of(name)]


def reading_of(sample: WireSample, *, encoding: str = "", strip: bool = False) -> Reading:
    """A reading as the relay makes it for this answer."""
    return Reading(
        sample.format, streamed=sample.streamed, content_type=sample.content_type, content_encoding=encoding, strip_usage_chunk=strip
    )


def _of(name: str) -> list[WireSample]:
    expected = json.loads((_FOLDER / name / "expected.json").read_text(encoding="utf-8"))
    return [_sample(FORMATS[name], file, told) for file, told in expected.items()]


def _sample(fmt: Format, file: str, told: dict) -> WireSample:
    body = (_FOLDER / fmt.name / file).read_bytes()
    counts = TokenCounts(*told["counts"])
    return WireSample(fmt, file, body, counts, told["usage_source"], told["model"], told.get("failure"), told.get("complete", True))
