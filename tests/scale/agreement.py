"""One question asked of two engines, and whether they agree: names, order, and each value to its last place."""

from typing import Any

import pyarrow as pa

from byok.store.engine import Engine
from tests.scale.asked import IN_NO_ORDER, STREAMED, World


def answer(engine: Engine, world: World, question: str, scope: str, words: dict[str, Any]) -> pa.Table:
    whose = world.scopes[scope] if scope else None
    if question in STREAMED:
        assert whose is not None
        return pa.Table.from_batches(list(engine.stream(question, whose, **words)))
    return engine.ask(question, whose, **words)


def difference(question: str, mine: pa.Table, theirs: pa.Table) -> str:
    """How the second answer differs; empty if they agree."""
    if mine.column_names != theirs.column_names or mine.num_rows != theirs.num_rows:
        return f"{mine.num_rows} rows of {mine.column_names}, {theirs.num_rows} of {theirs.column_names}"
    try:
        theirs = theirs.cast(pa.schema([field.with_nullable(True) for field in mine.schema]))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        return f"other types: {error}"
    if question in IN_NO_ORDER:
        order = [(name, "ascending") for name in mine.column_names]
        mine, theirs = mine.sort_by(order), theirs.sort_by(order)
    for name in mine.column_names:
        one, two = mine[name].combine_chunks(), theirs[name].combine_chunks()
        if not one.equals(two):
            at = next(number for number in range(len(one)) if one[number] != two[number])
            return f"row {at} of {mine.num_rows}, {name}: {mine.slice(at, 1).to_pylist()} and {theirs.slice(at, 1).to_pylist()}"
    return ""
