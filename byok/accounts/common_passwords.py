"""The passwords that are tried first: a packaged list of well-known ones, and what people make of them to reach twelve characters."""

from functools import cache
from importlib import resources

_AROUND = "0123456789!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~ "
_ROWS = (
    "01234567890" * 2,
    "abcdefghijklmnopqrstuvwxyz",
    "qwertyuiopasdfghjklzxcvbnm",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p",
    "1q2w3e4r5t6y7u8i9o0p",
)


def is_common(password: str, email: str = "") -> bool:
    """Whether it is a listed word, one with digits and signs around it, a repetition, a run of keys, or the user's own e-mail.

    >>> is_common("Password123!"), is_common("qwertyqwerty"), is_common("123456789012"), is_common("anna@b.org2026", "anna@b.org")
    (True, True, True, True)
    >>> is_common("correct horse battery")
    False
    """
    text = password.lower()
    core = text.strip(_AROUND)
    if email and core and core in (email, email.split("@")[0]):
        return True
    if any(text in row or text[::-1] in row for row in _ROWS):
        return True
    units = {_unit(text), _unit(core)} - {""}
    return any(len(unit) < 3 or unit in _listed() for unit in units | ({core} - {""}))


def _unit(text: str) -> str:
    """The shortest piece that repeated gives the text: `ab` of `ababab`."""
    return text[: (text + text).find(text, 1)]


@cache
def _listed() -> frozenset[str]:
    return frozenset(resources.files("byok.accounts").joinpath("common_passwords.txt").read_text(encoding="ascii").split())
