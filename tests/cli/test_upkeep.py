"""purge, compact, prices, doctor: what an operator does now and then."""

import errno
import json
import shutil
import socket
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from byok import doctor, settings
from byok.accounts import budgets, jobs, key_vault
from byok.accounts.database import open_database
from byok.recording.segments import QUARANTINE
from tests.web.sign_on import Service


def ago(days: float) -> str:
    return (datetime.now(UTC) - timedelta(days=days)).isoformat()


@pytest.fixture
def aged(ada):
    """Two records that the plan keeps for 30 days, one that it does not."""
    ada.ok("user", "set", "ada@example.org", "--plan", "indie")
    user = ada.user_id("ada@example.org")
    ada.import_rows(*({"ts": ago(days), "user_id": user} for days in (1, 2, 30.5)))
    return ada


def files(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_purge_dry_run_counts_and_deletes_nothing(aged):
    before = files(aged.data / "usage")
    receipt = aged.json("purge", "--dry-run", "--json")
    assert (receipt["kind"], receipt["dry_run"], receipt["rows"], receipt["files"]) == ("purge", True, 1, 1)
    assert [(line["user_id"], line["rows"]) for line in receipt["users"]] == [(aged.user_id("ada@example.org"), 1)]
    assert files(aged.data / "usage") == before


def test_purge_deletes_and_a_second_one_finds_nothing(aged):
    assert aged.json("purge", "--json")["rows"] == 1
    assert aged.json("purge", "--json")["rows"] == 0
    assert aged.json("sql", "select count(*) as n from usage", "--format", "json") == [{"n": 2}]


def test_purge_names_users_by_their_email_for_eyes_only(aged):
    assert "ada@example.org" in aged.ok("purge", "--dry-run")
    assert "ada@example.org" not in aged.ok("purge", "--dry-run", "--json")


def test_purge_refuses_when_the_clock_seems_to_have_jumped(ada):
    ada.import_rows({"ts": "2020-01-01T00:00:00Z", "user_id": ada.user_id("ada@example.org")})
    for path in (ada.data / "usage").rglob("*.parquet"):
        import os

        os.utime(path, (0, 0))
    done = ada.run("purge")
    assert done.exit_code == 1
    assert "--force" in done.stderr
    assert ada.json("purge", "--force", "--json")["rows"] == 1


def test_compact_merges_what_many_imports_left(ada):
    user = ada.user_id("ada@example.org")
    month = datetime.now(UTC).strftime("%Y-%m-01T00:00:")
    for number in range(3):
        ada.import_rows({"ts": f"{month}0{number}Z", "user_id": user}, name=f"{number}.jsonl")
    done = ada.json("compact", "--json")
    assert (done["rows"], done["files_before"], done["files"]) == (3, 3, 1)


def test_prices_are_listed_shown_and_checked(installation):
    listed = {(row["vendor"], row["model"]): row for row in installation.json("prices", "list", "--json")}
    assert (listed["openai", "gpt-4o"]["input"], listed["openai", "gpt-4o"]["output"]) == (2.5, 10)
    assert "gpt-4o-mini" in installation.ok("prices", "list")
    assert "input 2.5, output 10" in installation.ok("prices", "show", "openai/gpt-4o")
    assert "No faults" in installation.ok("prices", "check")
    assert installation.run("prices", "show", "no-such-model").exit_code == 1


# ---- doctor ----


def faults(installation) -> dict[str, str]:
    done = installation.run("doctor", "--json", env=free_ports())
    found = {entry["what"]: entry["said"] for entry in json.loads(done.stdout) if not entry["ok"]}
    assert done.exit_code == (1 if found else 0), done.stderr
    assert all(entry["remedy"] for entry in json.loads(done.stdout) if not entry["ok"])
    return found


def free_ports() -> dict[str, str]:
    with socket.socket() as one, socket.socket() as two:
        one.bind(("127.0.0.1", 0))
        two.bind(("127.0.0.1", 0))
        return {"BYOK_GATEWAY_PORT": str(one.getsockname()[1]), "BYOK_WEB_PORT": str(two.getsockname()[1])}


def test_doctor_finds_nothing_wrong_before_the_first_start_and_makes_nothing(installation):
    assert faults(installation) == {}
    assert not installation.data.exists()


def test_doctor_finds_nothing_wrong_in_a_healthy_installation(aged):
    assert faults(aged) == {}
    assert "FAULT" not in aged.run("doctor", env=free_ports()).stdout


def test_doctor_looks_at_where_alerts_and_mails_go(ada):
    ada.ok("alert", "add", "ada@example.org", "--slack", stdin="https://hooks.slack.com/services/T0/B0/secretpath")
    assert "1 alert rule, " in ada.run("doctor", env=free_ports()).stdout
    elsewhere = ada.run("doctor", env={**free_ports(), "BYOK_SLACK_HOSTS": "chat.example.org"}).stdout
    assert "not one that webhooks may point to" in elsewhere and "secretpath" not in elsewhere
    ada.ok("report", "schedule", "ada@example.org", "--period", "day")
    assert "no mail server is set" in ada.run("doctor", env=free_ports()).stdout


def test_doctor_tries_the_mail_server(ada):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        said = ada.run("doctor", env={**free_ports(), "BYOK_SMTP_URL": f"smtp://127.0.0.1:{nobody.getsockname()[1]}"}).stdout
    assert "the mail server does not take mails (unreachable)" in said


def test_doctor_names_what_is_late(aged):
    aged.ok("report", "schedule", "ada@example.org", "--period", "day")
    aged.ok("user", "set", "ada@example.org", "--retention-days", "1")
    with open_database(f"sqlite:///{aged.data}/accounts.db") as db:
        jobs.put(db, jobs.PURGE_PENDING, ago(0))
    place = settings.load(aged.env)
    said = [one.said for one in doctor.examine(place, aged.env, now=datetime.now(UTC) + timedelta(days=2)) if one.what == "keeper"]
    assert said[0].startswith("3 records here more than a day past the plan")
    assert said[1].startswith("a deletion was begun")
    assert said[2].startswith("1 report due since")


def test_records_past_their_plan_are_a_fault_only_when_no_purge_came_for_hours(aged):
    aged.ok("purge")
    aged.ok("user", "set", "ada@example.org", "--retention-days", "7")
    aged.import_rows({"ts": ago(300), "user_id": aged.user_id("ada@example.org")})
    place, now = settings.load(aged.env), datetime.now(UTC)
    for later, well in ((0.1, True), (3.5, False), (-24, False)):  # the last: a clock that was ahead when the purge ran
        looked = now + timedelta(hours=later)
        said = [one for one in doctor.examine(place, aged.env, now=looked) if "past the plan" in one.said]
        assert [(one.ok, one.said[:8]) for one in said] == [(well, "1 record")], later
    aged.ok("purge")
    assert not [one for one in doctor.examine(place, aged.env, now=now) if "past the plan" in one.said]


def test_doctor_names_secrets_that_do_not_open(ada):
    ada.ok("key", "add", "ada@example.org", "--vendor", "openai", stdin="sk-test-1234567890abcdef")
    with sqlite3.connect(ada.data / "accounts.db") as raw:
        raw.execute("update vendor_keys set sealed_secret = zeroblob(64)")
    assert faults(ada)["master key"].startswith("1 stored secret damaged, not to be opened: key_")


def test_doctor_names_keys_that_their_vendor_refuses(ada):
    key = ada.ok("key", "add", "ada@example.org", "--vendor", "openai", stdin="sk-test-1234567890abcdef").split()[-1]
    assert "1 stored, none known to be refused" in ada.ok("doctor")
    with open_database(settings.load(ada.env).accounts_database) as db:
        key_vault.note_refused(db, key, now=datetime(2026, 11, 26, 12, tzinfo=UTC))
    assert f"1 key refused by the vendor: {key} (openai, since 2026-11-26 12:00Z)" in ada.ok("doctor")


def test_doctor_names_records_of_nobody_and_zones_that_are_unknown_here(aged):
    with sqlite3.connect(aged.data / "accounts.db") as raw:
        raw.execute("update users set tz = 'Mars/Phobos'")
    assert faults(aged)["accounts"].startswith("1 user with a time zone that this machine does not know")
    for path in aged.data.glob("accounts.db*"):
        path.unlink()
    aged.ok("user", "add", "bob@example.org")
    assert faults(aged)["records"] == "there are records of 1 user whom the accounts do not know"


def test_doctor_misses_the_log_of_the_table(aged):
    shutil.rmtree(aged.data / "usage" / "_delta_log")
    assert "_delta_log" in faults(aged)["usage table"]


def test_doctor_misses_the_master_key(ada):
    Path(ada.env["BYOK_MASTER_KEY_FILE"]).unlink()
    assert list(faults(ada)) == ["master key"]
    assert not Path(ada.env["BYOK_MASTER_KEY_FILE"]).exists()


def test_doctor_knows_a_wrong_or_public_master_key(ada):
    key = Path(ada.env["BYOK_MASTER_KEY_FILE"])
    key.chmod(0o644)
    assert list(faults(ada)) == ["master key"]
    key.chmod(0o600)
    key.write_text("AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=")
    assert list(faults(ada)) == ["master key"]


def test_doctor_names_a_damaged_usage_file(aged):
    path = next((aged.data / "usage").rglob("*.parquet"))
    path.write_bytes(path.read_bytes()[:-20] + b"x" * 20)
    assert str(path) in faults(aged)["usage table"]


def test_doctor_names_a_missing_usage_file(aged):
    path = next((aged.data / "usage").rglob("*.parquet"))
    path.unlink()
    assert str(path) in faults(aged)["usage table"]


def test_doctor_leaves_a_file_alone_that_the_table_does_not_name(aged):
    (aged.data / "usage" / "stranger.parquet").write_text("not parquet")
    assert faults(aged) == {}


def test_doctor_names_damaged_accounts(ada):
    path = ada.data / "accounts.db"
    path.write_bytes(b"SQLite format 3\0" + b"\xff" * 4000)
    for log in ada.data.glob("accounts.db-*"):
        log.unlink()
    assert "accounts" in faults(ada)


def test_doctor_examines_accounts_on_a_disk_that_cannot_be_written(ada, monkeypatch):
    connect = sqlite3.connect

    def without_a_log(place, *args, **options):
        if str(place).endswith("?mode=ro"):  # SQLite makes the log's index even to read
            raise sqlite3.OperationalError("attempt to write a readonly database")
        return connect(place, *args, **options)

    monkeypatch.setattr(sqlite3, "connect", without_a_log)
    assert "accounts" not in faults(ada)


def test_doctor_names_accounts_that_may_not_be_read(ada, monkeypatch):
    file, opened = ada.data / "accounts.db", Path.open

    def refuse(path, *args, **options):
        if path == file:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return opened(path, *args, **options)

    monkeypatch.setattr(Path, "open", refuse)
    assert faults(ada)["accounts"] == f"{file}: Permission denied"


def test_doctor_names_lines_that_were_set_aside(ada):
    aside = ada.data / "journal" / QUARANTINE
    aside.mkdir(parents=True)
    (aside / "w0-1.bad").write_bytes(b"{bro\rken\n")
    found = faults(ada)
    assert list(found) == ["journal"]
    assert found["journal"].startswith("1 damaged lines")


def test_doctor_names_a_record_of_tomorrow(ada):
    ada.import_rows({"ts": ago(-1), "user_id": ada.user_id("ada@example.org")})
    assert list(faults(ada)) == ["records"]


def test_doctor_names_a_port_that_somebody_else_has(installation):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        done = installation.run("doctor", env=free_ports() | {"BYOK_WEB_PORT": str(other.getsockname()[1])})
    assert done.exit_code == 1
    assert "BYOK_WEB_PORT" in done.stdout


def test_doctor_names_a_clock_before_this_software_existed(installation):
    found = doctor.examine(settings.load(installation.env), installation.env, now=datetime(2001, 1, 1, tzinfo=UTC))
    assert [finding.what for finding in found if not finding.ok] == ["clock"]


def test_doctor_names_packages_that_are_not_as_required(installation, tmp_path):
    (tmp_path / "requirements.txt").write_text("click==0.1\nno-such-package==1.0  # why\n# click==0.2\n")
    found = doctor.examine(settings.load(installation.env), {}, now=datetime.now(UTC), requirements=tmp_path / "requirements.txt")
    assert "click" in found[0].said
    assert "no-such-package missing" in found[0].said
    assert found[0].remedy == "make install"


def test_doctor_hints_at_a_setting_with_a_typo(installation):
    done = installation.run("doctor", env=free_ports() | {"BYOK_GATEWAY_PROT": "1"})
    assert done.exit_code == 0
    assert "did you mean BYOK_GATEWAY_PORT?" in done.stdout


def test_doctor_names_an_address_of_no_vendor(installation):
    done = installation.run("doctor", env=free_ports() | {"BYOK_OPNAI_BASE_URL": "http://127.0.0.1:1/v1"})
    assert done.exit_code == 0
    assert "BYOK_OPNAI_BASE_URL does nothing" in done.stdout
    assert "did you mean openai?" in done.stdout


# ---- rotate-master-key ----


def test_the_master_key_is_rotated_and_everything_goes_on(ada):
    ada.ok("key", "add", "ada@example.org", "--vendor", "openai", stdin="sk-test-Qm7RtYp2LhVd8sKf\n")
    file = Path(ada.env["BYOK_MASTER_KEY_FILE"])
    before = file.read_text()
    said = ada.ok("rotate-master-key")
    assert "1 stored secret wrapped" in said
    assert file.read_text() != before
    assert file.read_text().strip() not in said
    assert ada.json("rotate-master-key", "--json")["rows"] == 1
    assert faults(ada) == {}
    assert "openai" in ada.ok("key", "list", "ada@example.org")


def test_a_rotation_with_a_wrong_master_key_is_refused_in_one_line(ada):
    Path(ada.env["BYOK_MASTER_KEY_FILE"]).write_text("AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=")
    done = ada.run("rotate-master-key")
    assert done.exit_code == 1
    assert done.stderr.count("\n") == 1
    assert "Put the right key back" in done.stderr


def sign_on(installation, issuer: str, **more: str) -> dict[str, str]:
    secret = installation.data.parent / "client.secret"
    if not secret.exists():
        secret.write_text("a client's secret")
        secret.chmod(0o600)
    named = {"ISSUER": issuer, "CLIENT_ID": "byok", "CLIENT_SECRET_FILE": str(secret), **more}
    return free_ports() | {f"BYOK_OIDC_{name}": value for name, value in named.items()}


def test_doctor_asks_the_sign_in_service(installation):
    with Service() as service:
        done = installation.run("doctor", env=sign_on(installation, service.issuer) | {"BYOK_PUBLIC_URL": "https://byok.example"})
        assert done.exit_code == 0, done.stdout
        assert "it must know https://byok.example/auth/oidc/callback" in done.stdout
        service.description = {"id_token_signing_alg_values_supported": ["HS256"]}
        assert "signs in no way that is trusted" in installation.run("doctor", env=sign_on(installation, service.issuer)).stdout
        service.description = {"issuer": "https://another.example"}
        done = installation.run("doctor", env=sign_on(installation, service.issuer))
        assert (done.exit_code, "another name than BYOK_OIDC_ISSUER" in done.stdout) == (1, True)


def test_doctor_names_a_sign_in_service_that_is_away_and_a_secret_that_others_read(installation):
    env = sign_on(installation, "http://127.0.0.1:9")
    done = installation.run("doctor", env=env | {"BYOK_PUBLIC_URL": "http://byok.example"})
    assert (done.exit_code, "does not answer" in done.stdout, "is not https" in done.stdout) == (1, True, True)
    (installation.data.parent / "client.secret").chmod(0o644)
    assert "can be read by others" in installation.run("doctor", env=env).stdout
    (installation.data.parent / "client.secret").unlink()
    assert "BYOK_OIDC_CLIENT_SECRET_FILE cannot be read" in installation.run("doctor", env=env).stdout


def test_doctor_says_when_budgets_are_not_counted(ada):
    budget_id = ada.ok("budget", "set", "ada@example.org", "--usd", "5").strip()
    place = settings.load(ada.env, config=ada.data.parent / "none.toml")
    now = datetime.now(UTC)
    with open_database(place.accounts_database) as db:
        found = {finding.what: finding for finding in doctor.examine(place, ada.env, now=now)}
        assert found["budgets"].ok, "it was made just now"
        late = {finding.what: finding for finding in doctor.examine(place, ada.env, now=now + timedelta(minutes=3))}
        assert not late["budgets"].ok
        figure = budgets.Figure("2026-11", now + timedelta(days=9), 0, 0, 0, now, now + timedelta(minutes=2))
        budgets.note(db, [(budget_id, figure)])
        again = {finding.what: finding for finding in doctor.examine(place, ada.env, now=now + timedelta(minutes=3))}
        assert again["budgets"].ok


def test_the_doctor_looks_at_the_file_with_the_jwt_secret(installation, tmp_path):
    secret = tmp_path / "jwt.secret"
    env = {"BYOK_JWT_SECRET_FILE": str(secret)}

    def said() -> str:
        return installation.run("doctor", env=env).stdout

    assert "FAULT  JWT secret" in said() and "No such file" in said()
    for text, mode, found in (
        ("short", 0o600, "FAULT  JWT secret"),
        ("a secret of more than 32 characters", 0o640, "ok     JWT secret     {secret} can be read by others (mode 0640)"),
        ("a secret of more than 32 characters", 0o600, "ok     JWT secret     well formed"),
    ):
        secret.write_text(text)
        secret.chmod(mode)
        assert found.format(secret=secret) in said()
    assert "JWT secret" not in installation.run("doctor").stdout
