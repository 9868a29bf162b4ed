"""Access tokens that are for some models only: what such a token may call. Whatever cannot be checked is refused.

A pattern with a slash is for `vendor/name`, one without for a name at any vendor; `*` stands for any part, upper and lower case are one.
An alias or a dated snapshot of the catalogue counts as its model.
"""

import re
from collections.abc import Collection
from fnmatch import translate
from functools import lru_cache

from byok.errors import ByokError
from byok.gateway import models, requests
from byok.gateway.vendors import Route

_COUNTS_TOKENS = re.compile(r"(?:/count_tokens|:countTokens|/responses/input_tokens)$")
_SHOWN = 10


class ModelNotAllowed(ByokError):
    status, code = 403, "model_not_allowed"

    def __init__(self, patterns: Collection[str], *, named: bool = True) -> None:
        what = "is not for this model" if named else "is for some models only, and this call names none that can be checked"
        shown = ", ".join(list(patterns)[:_SHOWN]) + (", …" if len(patterns) > _SHOWN else "")
        super().__init__(
            f"This access token {what}.",
            remedy=f"It is for: {shown}. Take one of these, or another token: byok access-token new EMAIL --models …",
        )


def check(patterns: tuple[str, ...], route: Route, body: bytes, *, is_form: bool) -> None:
    """Raise `ModelNotAllowed` unless the list allows every model that this call may reach; no patterns allow all.

    A form, a call that names no model, and what is passed on unread (files, batches, stored answers, the vendor's own list) could reach
    any: for these the list must hold the whole vendor, as `vendor/*`.
    """
    if not patterns or is_whole(patterns, route.vendor.name):
        return
    named: list[str | None] = [] if route.model is None else [route.model]
    if is_form or not (route.booked or _COUNTS_TOKENS.search(route.upstream_path)):
        named = []
    elif body or not named:
        named += requests.all_models(body)
    for name in named or [None]:
        if name is None:
            raise ModelNotAllowed(patterns, named=False)
        if not permits(patterns, route.vendor.name, name):
            raise ModelNotAllowed(patterns)


def permits(patterns: tuple[str, ...], vendor: str, model: str) -> bool:
    """Whether one of the patterns is for this model of this vendor; no patterns are for all.

    >>> permits(("gpt-4o-mini", "anthropic/*"), "openai", "gpt-4o-mini-2024-07-18"), permits(("gpt-4o-mini",), "openai", "gpt-4o")
    (True, False)
    """
    if not patterns:
        return True
    name = model.removeprefix("models/")
    names = {name.lower(), (models.catalogue_name(vendor, name) or name).lower()}
    return any(_compiled(pattern).match(f"{vendor}/{one}" if "/" in pattern else one) for pattern in patterns for one in names)


def is_whole(patterns: tuple[str, ...], vendor: str) -> bool:
    """Whether the list holds every model of the vendor."""
    return any(pattern.lower() in ("*", "*/*", f"{vendor}/*") for pattern in patterns)


@lru_cache(4096)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(translate(pattern.lower()))
