"""Metadata only, as a test: a running installation is driven with a canary in every place that a call or an account has, through every way
in which a call can end, at its most talkative; then everything that it wrote, said or holds is searched for them, in every form."""

import contextlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from byok.accounts import key_vault, passwords, users
from byok.services import Services
from byok.settings import load
from tests.e2e.installation import Installation, free_port, wait_until
from tests.privacy import calls, places
from tests.privacy.calls import DRIVES, FORMATS, HEADERS, SLOTS
from tests.privacy.canaries import Search, fresh
from tests.privacy.leaks import LEAKS, planted
from tests.ui.chromium import DESKTOP, chromium, open_page, settle, sign_in
from tests.vendor import LoopbackVendor

ADA = "ada@example.org"
QUERIES = ("select * from usage", "select no_such_column from usage")
COMMANDS = (("spikes", "--json"), ("doctor",))
PAGES = ("overview", "sql", "keys", "exports", "account")
TRACED = shutil.which("strace") is not None


class Drive:
    """One installation, one user, one vendor, and what everybody was told."""

    def __init__(self, root: Path, vendor: LoopbackVendor, canaries: dict[str, str]) -> None:
        self.c, self.answers = canaries, []
        self.slack = f"{vendor.url}/services/{canaries['Slack address']}"
        urls = {"BYOK_OPENAI_BASE_URL": f"{vendor.url}/v1", "BYOK_ANTHROPIC_BASE_URL": vendor.url, "BYOK_GEMINI_BASE_URL": vendor.url}
        mail = f"smtp://byok:{canaries['mail password']}@127.0.0.1:{free_port()}"  # where nobody answers: what fails must not tell either
        more = {"BYOK_SLACK_HOSTS": vendor.url, "BYOK_SMTP_URL": mail, "BYOK_SPIKE_EVERY_S": "1"}
        more |= {"BYOK_LOG_LEVEL": "debug", "BYOK_UPSTREAM_TIMEOUT_S": "0.5", "BYOK_MAX_BODY_MB": "1", "BYOK_PUBLISH_EVERY_S": "1"}
        (root / "tmp").mkdir(parents=True)
        self.home = Installation(root, TMPDIR=str(root / "tmp"), XDG_CACHE_HOME=str(root / "cache"), **urls, **more)
        self.token = self.home.add_user(ADA, plan="team")
        self.home.command("key", "add", ADA, "--vendor", "openai", stdin=f"{canaries['vendor key']}\n")
        with Services(load(self.home.env)) as book:
            self.user = users.by_email(book.db, ADA)
            passwords.set_password(book.db, self.user.id, canaries["password"], now=book.now())
            for name in ("anthropic", "gemini"):
                key_vault.add(book.db, book.master, self.user.id, name, canaries["vendor key"], now=book.now())
        self.client = httpx.Client(base_url=self.home.gateway, timeout=60)

    @property
    def bearer(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.token}"}

    def trace(self, name: str) -> None:
        """See every byte that this process will write, where strace is installed."""
        if TRACED:
            count = len(list(self.home.root.parent.glob(f"{self.home.root.name}-{name}-*.trace")))
            file = self.home.root.parent / f"{self.home.root.name}-{name}-{count}.trace"
            self.home.before[name] = [*places.TRACE[:-1], "-D", places.TRACE[-1], str(file)]

    def call_in_every_way(self) -> int:
        """Each format, streamed and not, with each ending of the vendor; returns how many calls reached it."""
        for form in FORMATS:
            for stream in (False, True):
                for drive in DRIVES:
                    path, body = form(self.c, drive, stream=stream)
                    with (
                        contextlib.suppress(httpx.TransportError),
                        self.client.stream("POST", path, json=body, headers=self.bearer) as answer,
                    ):
                        for _ in answer.iter_raw():
                            if drive == "half":
                                break  # the client leaves
        return len(FORMATS) * 2 * len(DRIVES)

    def call_wrongly(self) -> None:
        """What the gateway refuses itself, and a canary in each header that a client may send."""
        path, body = calls.chat(self.c, "good", stream=False)
        text = json.dumps(body | {"messages": [{"role": "user", "content": self.c["malformed"]}]})
        cut = text.index(self.c["malformed"]) + 12
        big = json.dumps({"model": "gpt-4o", "x": self.c["oversize"] * 60_000}).encode()
        sent = [
            {"content": text[:cut]},
            {"content": iter([text[: cut - 3].encode(), text[cut - 3 : cut].encode()])},
            {"content": big},
            {"content": iter([big[: len(big) // 2], big[len(big) // 2 :]])},
            {"json": body | {"model": f"{self.c['model name']}"}},
            {"json": body | {"model": f"openai/{self.c['model name']}"}},
            {"json": body | {"model": f"openai/{self.c['model name']}", "metadata": {"drive": "drive-bad"}}},
            {"json": body, "params": {"q": self.c["query"], "key": self.c["query"]}},
            {"json": body, "headers": self.bearer | {"x-byok-vendor-key": self.c["vendor key of a call"]}},
            {"json": body, "headers": {"authorization": f"Bearer {self.c['wrong token']}"}},
            {"json": body, "headers": {"authorization": f"Bearer byok_{self.c['wrong token'][:8]}_{self.c['wrong token'][:22] * 2}"[:57]}},
            {"json": body, "headers": self.bearer | {"host": f"{self.c['host']}.example"}},
            *({"json": body, "headers": self.bearer | {name: self.c[f"header {name}"]}} for name in HEADERS),
        ]
        for one in sent:
            with contextlib.suppress(httpx.TransportError):
                self.client.post(path, **({"headers": self.bearer} | one))
        for method, where in (("POST", f"/openai/v1/{self.c['path']}"), ("GET", f"/{self.c['path']}"), ("GET", f"/usage/{self.c['path']}")):
            self.client.request(method, where, headers=self.bearer)
        upload = {"file": (f"{self.c['form file']}.wav", self.c["form file"].encode())}
        self.client.post("/openai/v1/audio/transcriptions", headers=self.bearer, data={"model": "whisper-1"}, files=upload)

    def die_in_the_middle(self) -> None:
        """kill -9 of the gateway while an answer streams."""
        path, body = calls.chat(self.c, "half", stream=True)
        with contextlib.suppress(httpx.TransportError), self.client.stream("POST", path, json=body, headers=self.bearer) as answer:
            pieces = answer.iter_raw()
            next(pieces)
            self.home.kill("gateway")
            list(pieces)
        self.home.start("gateway")

    def use_the_web(self) -> None:
        """Sign-in right and wrong, the API, the exports."""
        c = self.c
        with httpx.Client(base_url=self.home.web, timeout=60) as web:
            for fields in (
                {"email": ADA, "password": c["wrong password"]},
                {"token": c["wrong token"]},
                {"email": f"{c['user']}@x.example", "password": c["user"]},
            ):
                form = web.get("/auth/sign-in").text
                web.post("/auth/sign-in", data={"csrf": form.split('name="csrf" value="')[1].split('"')[0], **fields})
            web.post("/auth/token", json={"email": ADA, "password": c["wrong password"]})
            web.get("/auth/set-password", params={"token": c["wrong link"]})
            web.get("/", headers={"cookie": f"byok_session={c['session']}"})
            web.get(f"/usage?vendor={c['query']}", headers=self.bearer)
            jwt = web.post("/auth/token", headers=self.bearer).json()["token"]
            self.c["JWT"] = jwt.rsplit(".", 1)[1]
            for path in (
                "/usage?group_by=model&cost=true",
                "/usage/series",
                "/costs",
                "/me",
                "/keys",
                "/access-tokens",
                "/metrics",
                *(f"/usage/export?format={kind}" for kind in ("csv", "json", "jsonl", "parquet")),
            ):
                answer = web.get(path, headers={"authorization": f"Bearer {jwt}"})
                assert answer.status_code == 200, path
                self.answers.append(places.answer(path, answer.content))
        self.answers.append(places.answer("the gateway's /metrics", self.client.get("/metrics").content))

    def open_the_dashboard(self) -> None:
        """Every page in a browser, with the canary password typed into it."""
        with chromium() as browser:
            page = open_page(browser, DESKTOP)
            sign_in(page, f"{self.home.web}/", ADA, self.c["password"])
            for name in PAGES:
                page.goto(f"{self.home.web}/{'' if name == 'overview' else name}")
                settle(page)
                self.answers.append(places.answer(f"the page {name}", page.content()))
                if name == "sql":
                    self.answers += places.processes(self.home.pid("web"))  # with the console's process

    def ask_commands(self) -> None:
        """What an operator does: publish, export, ask, report."""
        self.home.command("compact")
        for query in QUERIES:
            self.answers.append(places.answer(query, self.home.attempt("sql", query, "--user", ADA, "--format", "json")))
        for kind in ("csv", "parquet"):
            self.home.command("export", ADA, "--format", kind, "--out", str(self.home.root / f"export.{kind}"))
        for words in COMMANDS:
            self.answers.append(places.answer(" ".join(words), self.home.attempt(*words)))
        by_slack = self.home.command("alert", "add", ADA, "--slack", stdin=f"{self.slack}\n").split()[-1]
        for words in (("test", by_slack), ("list",)):
            self.answers.append(places.answer(f"alert {words[0]}", self.home.attempt("alert", *words)))
        self.answers.append(places.answer("report", self.home.attempt("report", "send", ADA)))

    def booked(self) -> list[dict[str, Any]]:
        """The records, by model and status."""
        answer = httpx.get(f"{self.home.web}/usage", params={"group_by": "model,status"}, headers=self.bearer, timeout=60)
        rows: list[dict[str, Any]] = answer.json()["usage"]
        return rows

    def everything(self) -> Iterator[places.Place]:
        yield from places.files(self.home.root)
        yield from self.answers
        for trace in self.home.root.parent.glob("*.trace"):
            for place, data in places.written(trace):
                yield f"{trace.name}: {place}", data


@pytest.mark.slow
def test_no_canary_is_anywhere_but_where_it_belongs(tmp_path):
    canaries = {slot: fresh() for slot in SLOTS}
    canaries["vendor key"] = f"sk-{canaries['vendor key']}"
    with LoopbackVendor(calls.vendor(canaries)) as vendor, contextlib.ExitStack() as ends:
        drive = Drive(tmp_path / "home", vendor, canaries)
        ends.callback(drive.home.close)
        drive.trace("gateway")
        drive.trace("keeper")
        drive.home.start("gateway", "web", "keeper")
        canaries["access token"] = drive.token.rsplit("_", 1)[1]
        reached = drive.call_in_every_way()
        drive.call_wrongly()
        drive.trace("gateway")
        drive.die_in_the_middle()
        drive.use_the_web()
        drive.open_the_dashboard()
        drive.answers += places.processes(*(drive.home.pid(name) for name in ("gateway", "web", "keeper")))
        wait_until(lambda: sum(row["calls"] for row in drive.booked()) >= reached, 60)
        booked = drive.booked()
        drive.ask_commands()
        assert {row["status"] for row in booked} >= {200, 400, 401, 429, 499, 500, 502, 504}, "not every ending was there"
        assert {row["model"] for row in booked} == {"gpt-4o", "claude-sonnet-4-5", "gemini-2.5-flash", "other"}
        sent = b"".join(seen.body + seen.target.encode() + str(seen.headers).encode() for seen in vendor.seen)
        arrived = {
            slot
            for slot in ("system", "tool result", "schema", "metadata", "model name", "vendor key", "vendor key of a call")
            if canaries[slot].encode() in sent
        }
        assert len(arrived) == 7, "the canaries did not even reach the vendor"
        search = Search(canaries)
        hits = search.look_all(drive.everything())
        # What an operator puts into the environment is there; what else is found is a leak.
        assert {hit for hit in hits if (hit.slot, hit.place.rpartition("/")[2]) != ("mail password", "environ")} == set()

        receipt = json.loads(drive.home.command("user", "erase", ADA, "--yes", "--json"))
        assert receipt["rows"] == sum(row["calls"] for row in booked)
        for name in ("gateway", "web", "keeper"):
            assert drive.home.stop(name) == 0
        gone = Search(canaries | {"e-mail": ADA, "user's id": drive.user.id})
        left = {(hit.slot, hit.form) for hit in gone.look_all(places.files(drive.home.data))}
        assert left <= {("user's id", "sha256")}, "beside the hash by which late records of an erased user are known"

        with planted(drive.home.root / "planted", canaries) as (slots, pid):  # the search itself must be able to fail, here too
            hits = search.look_all([*drive.everything(), *places.processes(pid)])
        assert len(LEAKS) == 12
        assert {hit.slot for hit in hits} - {"mail password"} == set(slots.values())
