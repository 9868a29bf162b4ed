"""Names of models: which vendor serves one, what a record calls it, and which names are never stored."""

import difflib
import re
from collections.abc import Callable, Collection, Container
from contextlib import suppress
from functools import cache
from typing import Any, NamedTuple

from byok.errors import ModelUnknown, NotFound
from byok.gateway.known_models import PREFIXES, UNPRICED
from byok.gateway.vendors import BUILT_IN, ECHO
from byok.pricing import catalogue
from byok.usage import OTHER_MODEL

_STORABLE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,95}")
# A date or number at the end names a state of a model; `-latest` its newest.
_SNAPSHOT = re.compile(r"[-@](?:\d{4}-\d{2}-\d{2}|\d{2}-\d{4}|\d{2}-\d{2}|\d{8}|\d{6}|\d{4}|00\d|latest)$")
_KEY_BEGINNING = re.compile(
    r"(?<![A-Za-z0-9])(?:(?i:[spr]k)[-_./:+]|(?i:bearer)[-_./:+]|gsk_|hf_|r8_|tgp_|byok_|key_|npm_|dop_v1_|shpat_|nvapi-"
    r"|pplx-(?!(?:embed|decider|[0-9]{1,3}b)(?![A-Za-z0-9]))|xai-[A-Za-z0-9]{16}|ASIA|eyJ|ya29)|gh[opsur]_|github_pat_|glpat-|xox[a-z]-|AKIA|AIza|hooks\.slack"
)
_ADDRESS = re.compile(r"@[A-Za-z0-9-]+\.[A-Za-z]{2}")
_LONG_NUMBER = re.compile(r"(?:[0-9][-_.]?){15}")  # a card's, an account's; two dates are shorter
_SPELLED_OUT = re.compile(r"(?:(?<![A-Za-z0-9])[A-Za-z0-9][-_.:/+]){8}")
_BREAKS = re.compile(r"[-_.:/@+]")
_LONGEST_WORD = 19  # longer runs of letters and digits without a break are no words
_LONG_WORDS = frozenset(("cognitivecomputations",))  # but for makers of models: what everybody knows is no secret
_PLAIN_WORD = re.compile(r"(?<![A-Za-z0-9])(?:[A-Z][a-z]{3,}|[a-z]{4,})(?![A-Za-z0-9])")
_SWITCH = re.compile(r"(?<=[a-z])(?=[A-Z0-9])|(?<=[A-Z])(?=[a-z0-9])|(?<=[0-9])(?=[A-Za-z])")
_RANDOM_WORD = re.compile(r"(?=[^0-9]*[0-9])(?=[^a-z]*[a-z])(?=[^A-Z]*[A-Z])[A-Za-z0-9]{14,}")


class Found(NamedTuple):
    """Who serves a model, and its name without the vendor's."""

    vendor: str
    model: str


class ModelNotListed(NotFound):
    code = "model_not_found"

    def __init__(self) -> None:
        super().__init__("There is no such model, or not for you.", remedy="GET /v1/models lists those that you can call.")


class _Names:
    """The catalogue's names, lower case, for look-ups."""

    def __init__(self, entries: list[tuple[str, str, tuple[str, ...]]]) -> None:
        self.by_vendor: dict[str, dict[str, str]] = {}
        self.owner: dict[str, Found] = {}
        self.listed: list[Found] = []
        self.models = {model for _, model, _ in entries}
        for vendor, model, aliases in entries:
            names = self.by_vendor.setdefault(vendor, {})
            for name in (model, *aliases):
                names.setdefault(name.lower(), model)
            self.listed.append(Found(vendor, model))
        for vendor in sorted(self.by_vendor, key=lambda name: name in _RESELLERS):
            for name, model in self.by_vendor[vendor].items():
                self.owner.setdefault(name, Found(vendor, model))

    def known(self, vendor: str, name: str) -> str | None:
        """The catalogue's name for `name`, its alias or its dated snapshot at this vendor."""
        names = self.by_vendor.get(vendor, {})
        low = name.lower().removeprefix("models/")
        return names.get(low) or names.get(_SNAPSHOT.sub("", low))


_RESELLERS = frozenset({"groq", "openrouter", "together", "ollama"})  # serve other people's models, under other people's names


@cache
def _names() -> _Names:
    priced = [(entry.vendor, entry.model, entry.aliases) for entry in catalogue.load().models()]
    return _Names(priced + [(vendor, model, ()) for vendor, models in UNPRICED.items() for model in models])


def find_vendor(model: str, vendors: Container[str] = BUILT_IN) -> Found:
    """Return who serves `model`: as `vendor/model` says, else the catalogue, else known beginnings; raises `ModelUnknown`.

    >>> find_vendor("gpt-4o-mini-2024-07-18")
    Found(vendor='openai', model='gpt-4o-mini-2024-07-18')
    >>> find_vendor("groq/openai/gpt-oss-20b")
    Found(vendor='groq', model='openai/gpt-oss-20b')
    """
    vendor, slash, rest = model.partition("/")
    if slash and rest and vendor in vendors:
        return Found(vendor, rest)
    low = model.lower()
    owner = _names().owner.get(low) or _names().owner.get(_SNAPSHOT.sub("", low))
    if owner is not None and owner.vendor in vendors:
        return Found(owner.vendor, model)
    for beginning, serving in PREFIXES:
        if low.startswith(beginning):
            return Found(serving, model)
    raise ModelUnknown(nearest(model))


def booked_model(requested: str | None, answered: str | None, status: int, vendor: str, allowed: Collection[str] = ()) -> str:
    """Return what a record calls the model: the one that answered if it may be stored, else the requested, else `other`.

    Names of the catalogue are always stored, dated snapshots and aliases under their model's. Any other name is stored only after a 2xx,
    if the vendor said it or an admin `allowed` it, and it cannot be a secret.

    >>> booked_model("deepseek-chat", "deepseek-v4-flash", 200, "deepseek")
    'deepseek-v4-flash'
    >>> booked_model("my-secret-project", None, 404, "openai")
    'other'
    """
    wanted = (requested or "").removeprefix(f"{vendor}/")
    for name in (answered, wanted):
        if name and (known := _known_anywhere(vendor, name[:200])):
            if name is answered or not _may_be_stored(answered, status):
                return known
            return str(answered)
    for name in (answered, wanted if is_allowed(wanted, vendor, allowed) else None):
        if name is not None and _may_be_stored(name, status):
            return name
    return OTHER_MODEL


def is_allowed(name: str, vendor: str, allowed: Collection[str]) -> bool:
    """Whether an admin vouches for the name, at any vendor or (`vendor/name`) at this one."""
    return name in allowed or f"{vendor}/{name}" in allowed


def is_catalogued(name: str) -> bool:
    """Whether the name is the catalogue's own word for a model, or a reseller's `maker/model` made of it."""
    maker, _, rest = name.partition("/")
    return name in _names().models or rest in _names().by_vendor.get(maker, {})


def catalogue_name(vendor: str, name: str) -> str | None:
    """The catalogue's name of this vendor's model, of which `name` may be an alias or a dated snapshot."""
    return _names().known(vendor, name[:200])


def is_storable(name: str) -> bool:
    """Whether a name that is not in the catalogue has the form of a model's name and cannot be a secret."""
    return _STORABLE.fullmatch(name) is not None and not looks_like_key(name)


def looks_like_key(text: str) -> bool:
    """Whether a name could be a secret: a known beginning of keys, a long run of hex, digits or letters, an address, random letters.

    Words are not told apart from names: what keeps those out is that the vendor must repeat them, or an admin vouch for them.

    >>> looks_like_key("sk-live-4f3a"), looks_like_key("Meta-Llama-3.1-405B-Instruct-Turbo")
    (True, False)
    """
    if _KEY_BEGINNING.search(text):
        return True
    if re.search(r"[0-9a-f]{32}", _BREAKS.sub("", text.lower())):
        return True
    if _ADDRESS.search(text) or _LONG_NUMBER.search(text) or _SPELLED_OUT.search(text):
        return True
    return any(_is_random(word) for word in re.findall(r"[A-Za-z0-9]+", text)) or any(
        _is_restless(part) for part in re.split(r"[./:@+]", text)
    )


def nearest(model: str, count: int = 3) -> list[str]:
    """Return the catalogue's names nearest to `model`, best first."""
    return difflib.get_close_matches(model[:96].lower(), _names().owner, count, cutoff=0.5)


def listing(vendors: Collection[str], permitted: Callable[[str, str], bool] = lambda _vendor, _model: True) -> dict[str, Any]:
    """Return the answer of GET /v1/models: the catalogue of these vendors and of echo, as far as `permitted`, in OpenAI's shape.

    Each id can be sent as it is: with the vendor's name where the model's alone would lead elsewhere.
    """
    shown = [found for found in _names().listed if (found.vendor in vendors or found.vendor == ECHO) and permitted(*found)]
    return {"object": "list", "data": [_listed(found) for found in sorted(shown)]}


def retrieved(model: str, vendors: Collection[str], permitted: Callable[[str, str], bool] = lambda _vendor, _model: True) -> dict[str, Any]:
    """Return the answer of GET /v1/models/{model}: its entry in the list, also for an alias and a dated snapshot.

    Raises `ModelNotListed` for whatever is not in the caller's list, for whichever reason.
    """
    with suppress(ModelUnknown):
        vendor, name = find_vendor(model[:200], {*vendors, ECHO})
        known = _names().known(vendor, name)
        if known is not None and (vendor in vendors or vendor == ECHO) and permitted(vendor, known):
            return _listed(Found(vendor, known))
    raise ModelNotListed


def _listed(found: Found) -> dict[str, Any]:
    plain = _names().owner[found.model.lower()].vendor == found.vendor and found.model.partition("/")[0] not in BUILT_IN
    name = found.model if plain else f"{found.vendor}/{found.model}"
    return {"id": name, "object": "model", "created": 0, "owned_by": found.vendor}


def _known_anywhere(vendor: str, name: str) -> str | None:
    """The catalogue's word for `name`: at this vendor, as a reseller's name for a maker's model, or at whoever has it."""
    if known := _names().known(vendor, name):
        return known
    maker, slash, rest = name.partition("/")
    if slash and _names().known(maker, rest):  # a reseller's name for a maker's model, such as openai/gpt-4o
        return name if _STORABLE.fullmatch(name) else None
    elsewhere = _names().owner.get(name.lower())
    return elsewhere.model if elsewhere else None


def _may_be_stored(name: str | None, status: int) -> bool:
    return name is not None and 200 <= status < 300 and is_storable(name)


def _is_random(word: str) -> bool:
    if len(word) > _LONGEST_WORD:
        return not word.isdigit() and word not in _LONG_WORDS
    return _RANDOM_WORD.fullmatch(word) is not None or (len(word) >= 16 and not word.isalpha() and not word.isdigit())


def _is_restless(text: str) -> bool:
    """Whether lower case, upper case and digits alternate as in no name: base64 with its `-` and `_` taken out."""
    joined = re.sub(r"[-_]", "", text)
    if len(joined) < 16 or len(_SWITCH.findall(joined)) <= 0.48 * len(joined):
        return False
    return 2 * sum(map(len, _PLAIN_WORD.findall(text))) < len(joined)  # random letters are not to one half words that stand alone
