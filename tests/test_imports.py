"""Which way imports point, in plain words:

- Words are what every room speaks. They import words only.
- Rooms each know one thing. They import words; the store, which answers questions, imports the other rooms, too.
- Flows lead from room to room. They import flows, rooms and words.
- Faces are everything else: what people, clients and the clock meet. Nothing below imports a face.
- And never round in a circle: what imports something is not imported by it, neither directly nor by way of others.

The gateway is a flow but for `routes` and `run`, which are its face.
"""

import ast
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
WORDS = {"__version__", "address", "answers", "api_paths", "disk", "errors", "in_words", "listening", "logs", "settings", "usage", "zones"}
ROOMS = {"accounts", "forecast", "pricing", "recording", "spikes", "store"}
FLOWS = {"budgets", "erasures", "export", "gateway", "intake", "leading", "links", "notify", "price_setting", "reconciliation"}
FLOWS |= {"retention", "services", "sql_sessions"}
FACES_OF_GATEWAY = {"gateway.routes", "gateway.run"}


def part(module: str) -> str:
    """The name below `byok` that a module belongs to."""
    first, _, rest = module.removeprefix("byok.").partition(".")
    whole = f"{first}.{rest.partition('.')[0]}"
    return whole if whole in FACES_OF_GATEWAY else first


def imports(text: str) -> set[str]:
    """The parts of ours that a module's text imports, those imported late or for types only included."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.startswith("byok.")}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "byok":
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {part(module) for module in found}


def allowed(name: str) -> set[str] | None:
    """What a part may import; None: anything."""
    if name in WORDS:
        return WORDS
    if name in ROOMS:
        return WORDS | (ROOMS if name == "store" else set())
    return WORDS | ROOMS | FLOWS if name in FLOWS else None


@pytest.fixture(scope="module")
def imported() -> dict[str, set[str]]:
    """What each part imports."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for path in (ROOT / "byok").rglob("*.py"):
        name = part(".".join(path.relative_to(ROOT).with_suffix("").parts))
        found[name] |= imports(path.read_text()) - {name}
    return dict(found)


def test_imports_point_down(imported):
    assert not (WORDS | ROOMS | FLOWS) - imported.keys() - {"__version__"}, "each name in these lists is that of a module"
    upward = {(name, to) for name, parts in imported.items() for to in parts - (allowed(name) or parts)}
    assert not upward


def test_imports_go_round_no_circle(imported):
    left = dict(imported)
    while ends := [name for name, parts in left.items() if not parts & left.keys()]:
        for name in ends:
            del left[name]
    assert not left


def test_what_an_import_is():
    text = "def late():\n    from byok import export\n    import byok.ui.bar\nfrom byok.gateway.run import app\nimport bytes_of\n"
    assert imports(text) == {"export", "ui", "gateway.run"}
