"""Twelve leaks as they happen to others, planted on purpose: a search that finds less than all of them proves nothing."""

import base64
import contextlib
import hashlib
import json
import pickle
import sqlite3
import subprocess
import sys
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

LEAKS = (
    "body in a debug log",
    "key in an exception",
    "id in a path",
    "hash of the prompt",
    "base64 in a field",
    "error text in a column",
    "parquet footer",
    "write-ahead log",
    "cache on disk",
    "environment",
    "swallowed traceback",
    "user agent",
)


@contextlib.contextmanager
def planted(root: Path, canaries: Mapping[str, str]) -> Iterator[tuple[dict[str, str], int]]:
    """Plant them below `root`; yields which canary is in which leak, and the process that holds the one in its environment."""
    slots = dict(zip(LEAKS, canaries, strict=False))
    said = {name: canaries[slot] for name, slot in slots.items()}
    root.mkdir(parents=True, exist_ok=True)
    body = {"messages": [{"role": "user", "content": f"a {said['body in a debug log']} b"}]}
    (root / "debug.log").write_text(json.dumps({"event": "request", "body": json.dumps(body)}) + "\n")
    (root / "error.log").write_text(f"openai.AuthenticationError: Incorrect API key provided: sk-…{said['key in an exception'][-10:]}.\n")
    (root / f"upload-{said['id in a path']}.tmp").write_bytes(b"")
    (root / "seen.jsonl").write_text(json.dumps({"prompt": hashlib.sha256(said["hash of the prompt"].encode()).hexdigest()}) + "\n")
    coded = base64.b64encode(f"\0{said['base64 in a field']} and more".encode()).decode()
    (root / "span.json").write_text(json.dumps({"attributes": {"input": coded}}))
    table = pa.table({"status": [400] * 1000, "reason": ["", f"invalid value: {said['error text in a column']}"] * 500})
    pq.write_table(table, root / "part.parquet", compression="zstd")
    noted = pa.table({"n": [1]}).replace_schema_metadata({"origin": said["parquet footer"]})
    pq.write_table(noted, root / "footer.parquet", compression="zstd")
    (root / "cache.pickle").write_bytes(pickle.dumps(said["cache on disk"].encode("utf-16")))
    try:
        raise ValueError(f"cannot parse {said['swallowed traceback']!r}")
    except ValueError:
        (root / "trace.txt").write_text(traceback.format_exc())
    (root / "access.log").write_text(f'127.0.0.1 "POST /v1/chat HTTP/1.1" 200 "SDK/{said["user agent"][4:14]}"\n')
    database = sqlite3.connect(root / "state.db")
    database.execute("pragma journal_mode = wal")
    database.execute("create table notes (note)")
    database.execute("insert into notes values (?)", [said["write-ahead log"]])
    database.commit()
    database.execute("delete from notes")
    database.commit()  # the row is gone, its bytes are in the log
    sleeper = subprocess.Popen(
        [sys.executable, "-c", "print(flush=True); import time; time.sleep(600)"],
        env={"SOME_KEY": said["environment"]},
        stdout=subprocess.PIPE,
    )
    try:
        assert sleeper.stdout is not None
        sleeper.stdout.readline()
        yield slots, sleeper.pid
    finally:
        sleeper.kill()
        sleeper.wait()
        if sleeper.stdout is not None:
            sleeper.stdout.close()
        database.close()
