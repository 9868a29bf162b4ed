"""The same records in PostgreSQL 15, in a table as LiteLLM's proxy keeps its requests (without their texts), with its indexes."""

import contextlib
import os
import pwd
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import duckdb

BINARIES = Path("/usr/lib/postgresql/15/bin")
_TABLE = """
create table "LiteLLM_SpendLogs" (
    request_id text not null, call_type text, api_key text default '', spend double precision default 0, total_tokens int default 0,
    prompt_tokens int default 0, completion_tokens int default 0, "startTime" timestamp(3) not null, "endTime" timestamp(3),
    "completionStartTime" timestamp(3), model text default '', model_id text default '', model_group text default '',
    custom_llm_provider text default '', api_base text default '', "user" text default '', metadata jsonb default '{}',
    cache_hit text default '', cache_key text default '', request_tags jsonb default '[]', team_id text, end_user text,
    requester_ip_address text, messages jsonb default '{}', response jsonb default '{}', session_id text, status text,
    proxy_server_request jsonb default '{}'
)"""
_COLUMNS = """request_id, call_type, api_key, spend, total_tokens, prompt_tokens, completion_tokens, "startTime", "endTime",
    "completionStartTime", model, model_group, custom_llm_provider, api_base, "user", metadata, end_user, session_id, status"""
# LiteLLM's own; and one by user, which it does not have and which favours it in what is compared here.
_INDEXES = """
alter table "LiteLLM_SpendLogs" add primary key (request_id);
create index on "LiteLLM_SpendLogs" ("startTime");
create index on "LiteLLM_SpendLogs" (end_user);
create index on "LiteLLM_SpendLogs" (session_id);
vacuum analyze "LiteLLM_SpendLogs";"""
_BY_USER = 'create index on "LiteLLM_SpendLogs" ("user", "startTime")'
_ROWS = """
select 'chatcmpl-' || md5(user_id || ts::varchar), 'acompletion', md5(key_id) || md5(user_id), coalesce(total_tokens, 0) * 1e-6,
    coalesce(total_tokens, 0), coalesce(prompt_tokens, 0), coalesce(completion_tokens, 0), ts::timestamp,
    ts::timestamp + to_milliseconds(latency_ms), ts::timestamp + to_milliseconds(coalesce(ttft_ms, 0)), model, model, vendor,
    'https://api.example.com/v1', user_id,
    '{"user_api_key_alias": "default", "usage_object": {"prompt_tokens": ' || coalesce(prompt_tokens, 0) || '}}',
    '', md5(ts::varchar), case when status between 200 and 299 then 'success' else 'failure' end
from read_parquet(getvariable('files'), hive_partitioning = false)"""
_SUMS = """select custom_llm_provider, model, sum(prompt_tokens), sum(completion_tokens), sum(total_tokens), count(*),
    count(*) filter (where status = 'success') from "LiteLLM_SpendLogs" where {where} group by 1, 2 order by 5 desc"""
_DAYS = """select date_trunc('day', "startTime"), model, count(*), sum(total_tokens), sum(spend) from "LiteLLM_SpendLogs"
    where {where} group by 1, 2 order by 1"""


def installed() -> bool:
    return (BINARIES / "postgres").exists()


@contextlib.contextmanager
def loaded(files: list[str]) -> Iterator["Postgres"]:
    """A server on a socket in a folder of its own, holding the records of these files; it is gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="byok-pg-"))
    user = "postgres" if os.getuid() == 0 else None
    if user:
        shutil.chown(folder, user)
    server = Postgres(folder, user)
    try:
        server.run("initdb", "-D", str(folder / "db"), "-A", "trust", "-U", "bench", "--no-sync")
        options = f"-k {folder} -c listen_addresses='' -c shared_buffers=1GB -c work_mem=64MB -c max_wal_size=8GB -c fsync=off"
        server.run("pg_ctl", "-D", str(folder / "db"), "-w", "-l", str(folder / "log"), "-o", options, "start")
        server.sql(_TABLE)
        server.copy(files)
        server.sql(_INDEXES)
        yield server
    finally:
        with contextlib.suppress(subprocess.CalledProcessError):
            server.run("pg_ctl", "-D", str(folder / "db"), "-m", "immediate", "stop")
        shutil.rmtree(folder, ignore_errors=True)


class Postgres:
    def __init__(self, folder: Path, user: str | None) -> None:
        self._folder, self._user = folder, user

    def run(self, program: str, *words: str, given: str | None = None) -> str:
        done = subprocess.run(
            [BINARIES / program, *words], user=self._user, group=self._group(), input=given, cwd="/",
            capture_output=program == "psql", text=True, check=True, stdout=None if program == "psql" else subprocess.DEVNULL,
        )  # fmt: skip
        return done.stdout or ""

    def sql(self, text: str) -> str:
        words = ("-h", str(self._folder), "-U", "bench", "-d", "postgres", "-XAtq", "-v", "ON_ERROR_STOP=1")
        return self.run("psql", *words, given=text)

    def copy(self, files: list[str]) -> None:
        """DuckDB writes rows into a pipe, PostgreSQL takes them from it."""
        pipe = self._folder / "rows"
        os.mkfifo(pipe)
        if self._user:
            shutil.chown(pipe, self._user)
        copy = f"""copy "LiteLLM_SpendLogs" ({_COLUMNS}) from '{pipe}' with (format csv)"""
        words = ("-h", str(self._folder), "-U", "bench", "-d", "postgres", "-Xq", "-v", "ON_ERROR_STOP=1", "-c", copy)
        with subprocess.Popen([BINARIES / "psql", *words], user=self._user, group=self._group(), cwd="/") as taking:
            db = duckdb.connect(config={"threads": 1, "memory_limit": "1GB"})
            db.execute("set TimeZone = 'UTC'")
            db.execute("set variable files = $files", {"files": files})
            with pipe.open("wb") as sink:
                import pyarrow.csv as csv

                for batch in db.sql(_ROWS).to_arrow_reader(100_000):
                    csv.write_csv(batch, sink, csv.WriteOptions(include_header=False))
            db.close()
        if taking.returncode:
            raise RuntimeError("PostgreSQL did not take the rows")

    def favour(self) -> None:
        """An index that LiteLLM's table does not have, for what is asked here about one user."""
        self.sql(_BY_USER)

    def bytes(self) -> int:
        return int(self.sql("""select pg_total_relation_size('"LiteLLM_SpendLogs"')"""))

    def ms(self, question: str, where: str, times: int = 5) -> list[float]:
        """Milliseconds of each run, as the client sees them."""
        text = {"usage": _SUMS, "series": _DAYS}[question].format(where=where)
        said = self.sql("\\timing on\n" + f"{text};\n" * times)
        return [float(found) for found in re.findall(r"^Time: ([\d.]+) ms", said, re.MULTILINE)]

    def _group(self) -> int | None:
        return pwd.getpwnam(self._user).pw_gid if self._user else None
