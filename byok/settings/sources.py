"""Where settings are said: the environment and `byok.toml`. Nothing is checked here but the names."""

import difflib
import re
import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

_BASE_URL = re.compile(r"BYOK_([A-Z0-9_]+)_BASE_URL")
_TABLES = {"vendors", "vendor_base_urls"}  # what one variable cannot say


def from_environment(environ: Mapping[str, str], known: Collection[str]) -> dict[str, Any]:
    """What the variables say of the `known` settings, by their names in lower case; an empty variable says nothing."""
    names = set(known) - _TABLES
    return {name: environ[key] for name in names if environ.get(key := _variable(name), "") != ""}


def base_urls(environ: Mapping[str, str]) -> dict[str, str]:
    """The addresses that BYOK_<VENDOR>_BASE_URL give, by vendor in lower case."""
    return {match[1].lower(): value for name, value in environ.items() if value and (match := _BASE_URL.fullmatch(name))}


def from_file(path: Path, known: Collection[str], faults: list[str]) -> dict[str, Any]:
    """What the file says of them; nothing if there is none. What is wrong with the file is added to `faults`."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8-sig"))  # some editors begin a file with a mark
    except FileNotFoundError:
        return {}
    except tomllib.TOMLDecodeError as error:
        faults.append(f"{path}: is not TOML ({error})")
        return {}
    except (OSError, UnicodeDecodeError) as error:
        faults.append(f"{path}: cannot be read ({type(error).__name__})")
        return {}
    values: dict[str, Any] = {}
    addresses: dict[str, str] = {}
    said: dict[str, str] = {}
    for key, value in table.items():
        name = key.lower().removeprefix("byok_")
        if name in said:
            faults.append(f"{path}: {key} says again what {said[name]} says; leave one of them out")
        said[name] = key
        if match := re.fullmatch(r"([a-z0-9_]+)_base_url", name):
            addresses[match[1]] = value
        elif name in known:
            values[name] = value
        else:
            faults.append(f"{path}: {_no_setting(key, name, known)}")
    return values | ({"vendor_base_urls": addresses} if addresses else {})


def unknown_names(environ: Mapping[str, str], known: Collection[str]) -> list[str]:
    """BYOK_ variables that are none of the `known` settings, each with the nearest name; in small letters they are none either."""
    variables = [_variable(name) for name in known if name not in _TABLES]
    ours = sorted(name for name in environ if name.upper().startswith("BYOK_") and name not in variables)
    return [_no_setting(name, name.upper(), variables) for name in ours if not _BASE_URL.fullmatch(name)]


def _variable(name: str) -> str:
    return f"BYOK_{name.upper()}"


def _no_setting(said: str, name: str, known: Collection[str]) -> str:
    near = [name] if _BASE_URL.fullmatch(name) else difflib.get_close_matches(name, known, 1, cutoff=0.75)
    return f"{said} is no setting" + (f"; did you mean {near[0]}?" if near else "")
