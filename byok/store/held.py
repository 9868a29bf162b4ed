"""The records of people who have asked before, kept in memory with their cost: opening a dozen files and planning what a call costs takes
longer than reading one person's rows, and a page asks ten questions of the same ones.

For processes that live long (`Engine.remember_aside`). A file never changes, so its rows cannot go stale; one that is gone takes them
along. Retention is no part of it: the views over these rows hide what it hides. Whoever has too many rows is answered from the files.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from byok.recording.reader import View

MOST_ROWS = 200_000  # of one person
MOST_BYTES = 128 << 20  # of all
SOON_ROWS = 100_000  # fewer are read while the question waits; smaller files are merged soon, and must not take larger ones' rows along

Read = Callable[[str, Sequence[str], pa.Table, int], pa.Table | None]


@dataclass(frozen=True)
class _Piece:
    """One person's rows of some files."""

    paths: frozenset[str]
    rows: pa.Table


@dataclass
class _Person:
    pieces: list[_Piece] = field(default_factory=list)
    too_many: frozenset[str] = frozenset()  # files that were not worth it

    def nbytes(self) -> int:
        return int(sum(piece.rows.nbytes for piece in self.pieces))


class Held:
    """The rows of one engine's askers, the latest askers'. Thread-safe.

    `read` gives a user's rows of some files and a tail, in the columns of the view `usage_costed`; None if there are more than so many.
    """

    def __init__(self, read: Read, *, most_rows: int = MOST_ROWS, most_bytes: int = MOST_BYTES) -> None:
        self._read, self._most_rows, self._most_bytes = read, most_rows, most_bytes
        self._people: OrderedDict[str, _Person] = OrderedDict()
        self._named: frozenset[str] = frozenset()
        self._tail: pa.Table | None = None
        self._of_tail: dict[str, pa.Table] = {}
        self._lock = threading.Lock()

    def rows(self, user_id: str, wanted: Sequence[str], view: View, *, without: Set[str] = frozenset()) -> pa.Table | None:
        """The user's rows of at least the files `wanted` (of `view`), of its tail, and of no file in `without`; None if they are not held,
        or too many.

        What lately came to those that are held is read now.
        """
        pieces, missing = self._pieces(user_id, wanted, view, without)
        size = {file.path: file.rows for file in view.files}
        if sum(size[path] for path in missing) > SOON_ROWS or self.refuses(user_id, wanted):
            return None
        held = [*pieces, *self._load(user_id, missing, view, pieces)]
        if self.refuses(user_id, wanted):
            return None
        own = self._rows_of_tail(user_id, view, held)
        return None if own is None else pa.concat_tables([*(piece.rows for piece in held), own])

    def hold(self, user_id: str, wanted: Sequence[str], view: View, *, without: Set[str] = frozenset()) -> None:
        """Read what `rows` would need."""
        if self.refuses(user_id, wanted):
            return
        pieces, missing = self._pieces(user_id, wanted, view, without)
        sealed = {file.path for file in view.files if file.rows >= SOON_ROWS}
        for some in ([path for path in missing if path in sealed], [path for path in missing if path not in sealed]):
            pieces += self._load(user_id, some, view, pieces)

    def refuses(self, user_id: str, wanted: Sequence[str]) -> bool:
        """Whether the user is known to have too many rows in these files."""
        person = self._people.get(user_id)
        return person is not None and not person.too_many.isdisjoint(wanted)

    def forget_all_but(self, view: View) -> None:
        """Drop the rows of files that the table does not name any more, and of another tail than this one."""
        named = frozenset(file.path for file in view.files)
        with self._lock:
            if view.tail is not self._tail:
                self._tail, self._of_tail = view.tail, {}
            if named == self._named:
                return
            self._named = named
            for user_id, person in list(self._people.items()):
                person.pieces = [piece for piece in person.pieces if piece.paths <= named]
                person.too_many &= named
                if not person.pieces and not person.too_many:
                    del self._people[user_id]

    def _pieces(self, user_id: str, wanted: Sequence[str], view: View, without: Set[str]) -> tuple[list[_Piece], list[str]]:
        """Which pieces serve, none twice, and which files are missing."""
        with self._lock:
            person = self._people.setdefault(user_id, _Person())
            self._people.move_to_end(user_id)
            pieces = list(person.pieces)
        named = {file.path for file in view.files}
        found: list[_Piece] = []
        seen: set[str] = set()
        for piece in pieces:
            if piece.paths <= named and not piece.paths.isdisjoint(wanted) and piece.paths.isdisjoint(seen | without):
                found.append(piece)
                seen |= piece.paths
        return found, [path for path in wanted if path not in seen]

    def _load(self, user_id: str, files: Sequence[str], view: View, beside: Sequence[_Piece]) -> list[_Piece]:
        """The rows of these files, held from now on; nothing if there are too many of them beside those that are held."""
        if not files:
            return []
        rows = self._read(user_id, files, view.tail.slice(0, 0), self._most_rows - sum(piece.rows.num_rows for piece in beside))
        with self._lock:
            person = self._people.setdefault(user_id, _Person())
            if rows is None:
                person.too_many |= frozenset(files)
                return []
            piece = _Piece(frozenset(files), coded(rows))
            person.pieces.append(piece)
            while len(self._people) > 1 and sum(other.nbytes() for other in self._people.values()) > self._most_bytes:
                self._people.popitem(last=False)
        return [piece]

    def _rows_of_tail(self, user_id: str, view: View, held: Sequence[_Piece]) -> pa.Table | None:
        with self._lock:
            if view.tail is self._tail and user_id in self._of_tail:
                return self._of_tail[user_id]
        own = view.tail.filter(pc.equal(view.tail["user_id"], user_id))
        if held and not own.num_rows:
            rows = held[0].rows.slice(0, 0)
        elif (found := self._read(user_id, (), own, self._most_rows)) is not None:
            rows = coded(found)
        else:
            return None
        with self._lock:
            if view.tail is self._tail:
                self._of_tail[user_id] = rows
        return rows


def coded(rows: pa.Table) -> pa.Table:
    """Text as codes: a third of the bytes."""
    for at, column in enumerate(rows.schema):
        if column.type == pa.string():
            rows = rows.set_column(at, column.name, rows.column(at).dictionary_encode())
    return rows
