"""Where text could have got to: files as they are and decoded, processes, written bytes. Each as (place, bytes)."""

import json
import os
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq

TRACE = (
    *("strace", "-f", "--seccomp-bpf", "-qq", "-yy", "-xx", "-s", "1000000", "-e"),
    "trace=write,pwrite64,writev,sendto,sendmsg,mkdir,mkdirat,rename,renameat,renameat2,unlink,unlinkat,link,linkat,symlink",
    "-o",
)
Place = tuple[str, bytes]
_WRITE = re.compile(rb"^\d+\s+(?:write|pwrite64|writev|sendto|sendmsg)\(\d+<((?:\\x[0-9a-f]{2})*|[^>]*)>(.*)$", re.M)
_NAMES = re.compile(rb"^\d+\s+(?:rename|renameat|renameat2|mkdir|mkdirat|unlink|unlinkat|symlink|link|linkat)\((.*)$", re.M)
_HEX = re.compile(rb"(?:\\x[0-9a-f]{2})+")


def files(root: Path) -> Iterator[Place]:
    """Every file below `root`: its name, its bytes (free pages, -wal and -shm of SQLite among them), and what it holds decoded."""
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        if path.is_symlink() or path.is_dir():
            yield name, os.readlink(path).encode() if path.is_symlink() else b""
            continue
        try:
            raw = path.read_bytes()
        except OSError:  # a socket, or gone meanwhile
            continue
        yield name, raw
        if raw[:4] == b"PAR1":
            yield from _parquet(path, name)
        if raw[:16] == b"SQLite format 3\0":
            yield from _sqlite(path, name)


def _parquet(path: Path, name: str) -> Iterator[Place]:
    """All values, and what the footer says: schema, key-value metadata, statistics."""
    with pq.ParquetFile(path) as file:
        for column, values in file.read().to_pydict().items():
            yield f"{name} column {column}", "\n".join(map(str, dict.fromkeys(values))).encode(errors="surrogatepass")
        meta = file.metadata
        footer = [str(meta.schema), str(meta.metadata), str(meta.created_by)]
        for group in range(meta.num_row_groups):
            footer += [str(meta.row_group(group).column(at).statistics) for at in range(meta.num_columns)]
        yield f"{name} footer", "\n".join(footer).encode(errors="surrogatepass")


def _sqlite(path: Path, name: str) -> Iterator[Place]:
    """All rows of all tables, with what is still in the log. The file's own bytes hold the free pages."""
    with sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True) as db:
        tables = [row[0] for row in db.execute("select name from sqlite_master where type = 'table'")]
        for table in tables:
            rows = db.execute(f'select * from "{table}"').fetchall()
            yield f"{name} table {table}", "\n".join(str(row) for row in rows).encode(errors="surrogatepass")
    db.close()


def processes(*pids: int) -> Iterator[Place]:
    """Environment and command line of these processes and all that they started."""
    for pid in _family(pids):
        for what in ("environ", "cmdline"):
            try:
                yield f"/proc/{pid}/{what}", Path(f"/proc/{pid}/{what}").read_bytes()
            except OSError:
                continue


def _family(pids: tuple[int, ...]) -> list[int]:
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir() if Path("/proc/self/stat").exists() else ():
        if entry.name.isdecimal():
            try:
                parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except OSError:
                continue
            children.setdefault(parent, []).append(int(entry.name))
    found = list(pids)
    for pid in found:
        found += children.get(pid, [])
    return found


def written(trace: Path) -> Iterator[Place]:
    """What a traced process wrote (`strace -f -yy -xx`) to anything but TCP connections, and the names that it gave: deleted files, too."""
    text = trace.read_bytes()
    parts: dict[str, list[bytes]] = {}
    for target, arguments in _WRITE.findall(text):
        name = _decoded(target) if target.startswith(b"\\x") else target
        if not name.startswith(b"TCP"):
            parts.setdefault(name.decode(errors="replace"), []).extend(map(_decoded, _HEX.findall(arguments)))
    for name, pieces in parts.items():
        yield f"written to {name}", b"".join(pieces)
    yield "names given", b"\n".join(_decoded(found) for line in _NAMES.findall(text) for found in _HEX.findall(line))


def _decoded(text: bytes) -> bytes:
    return bytes.fromhex(text.replace(b"\\x", b"").decode())


def answer(name: str, value: object) -> Place:
    """What somebody was told."""
    return f"answer of {name}", value if isinstance(value, bytes) else str(value if isinstance(value, str) else json.dumps(value)).encode()
