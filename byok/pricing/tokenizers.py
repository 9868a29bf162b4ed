"""What is known of how differently models count the same text: a what-if keeps the counts of the model that did answer."""

from typing import NamedTuple


class Known(NamedTuple):
    """Beginnings of the names of models, what their tokenizer does, and who says so."""

    beginnings: tuple[str, ...]
    words: str
    source: str


KNOWN = (
    Known(
        ("claude-opus-4-7", "claude-opus-4-8", "claude-opus-5", "claude-sonnet-5", "claude-fable", "claude-haiku-5"),
        "counts up to 1.35 times as many tokens as Claude models before Opus 4.7, depending on the text",
        "Anthropic's migration guide for Claude Opus 4.7, April 2026; later models are taken to count alike",
    ),
)
NOTE = (
    "Token counts are those of the model that answered. Every family of models has a tokenizer of its own: published comparisons of the "
    "same English text differ by 5 to 15 %, of code and other scripts by 30 % and more. The vendors publish no factor between each other's."
)


def of(model: str) -> Known | None:
    """What is known of a model's tokenizer, if anything.

    >>> of("gpt-4o") is None
    True
    """
    name = model.rpartition("/")[2].lower()
    return next((known for known in KNOWN if name.startswith(known.beginnings)), None)
