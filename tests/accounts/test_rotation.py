"""A new master key: everything opens with it alone, whoever runs meanwhile goes on, and a kill at any line loses nothing."""

import base64
import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from byok import settings as settings_module
from byok.accounts import alert_rules, api_tokens, database, envelope, key_vault, master_key, rotation, tables, users
from byok.accounts.alert_rules import Target, Terms
from byok.accounts.errors import (
    MasterKeyInvalid,
    MasterKeyReplaced,
    MasterKeyWrong,
    RecordBroken,
    VendorKeyUnreadable,
    WebhookUnreadable,
)
from byok.accounts.tables import METADATA
from byok.errors import ByokError
from byok.gateway.identity import Identity
from byok.services import Services

TEXTS = [f"sk-test-Qm7RtYp2LhVd8sKf{number:04}" for number in range(3)]


class World:
    """An installation on disk with a user and three vendor keys; `key_file` holds its master key."""

    def __init__(self, folder: Path, now) -> None:
        self.key_file, self.now = folder / "config" / "master.key", now
        self.settings = settings_module.load({"BYOK_DATA": str(folder / "data"), "BYOK_MASTER_KEY_FILE": str(self.key_file)})
        with Services(self.settings) as services:
            self.user_id = users.add(services.db, "ada@example.org", now=now).id
            self.keys = {self.add(services, text): text for text in TEXTS}

    def add(self, services: Services, text: str) -> str:
        return key_vault.add(services.db, services.master, self.user_id, "openai", text, now=self.now).id

    def rotate(self, **more) -> rotation.Rotation:
        with database.open_database(self.settings.accounts_database) as db:
            return rotation.rotate(self.settings, db, **more)

    def opened(self, services: Services) -> dict[str, str]:
        """What a process with these services gets out, through the gateway's own door."""
        identity = Identity(services)
        try:
            return {key_id: identity._choose(self.user_id, "openai", key_id)[1].reveal() for key_id in self.keys}
        finally:
            identity.close()

    def key(self) -> bytes:
        return master_key.read_key_file(self.key_file)


@pytest.fixture
def world(tmp_path: Path, now) -> World:
    return World(tmp_path, now)


def test_after_a_rotation_the_new_key_opens_everything_and_the_old_one_nothing(world):
    old = world.key()
    done = world.rotate()
    assert (done.rows, done.key_file) == (3, world.key_file)
    assert world.key() != old
    with Services(world.settings) as services:
        assert world.opened(services) == world.keys
        for key_id in world.keys:
            with pytest.raises(VendorKeyUnreadable):
                key_vault.choose(services.db, old, world.user_id, "openai", key_id)
        with services.db.reading() as connection:
            assert set(connection.execute(sa.select(tables.vendor_keys.c.kek_id)).scalars()) == {done.kek_id}
            assert list(connection.execute(sa.select(tables.master_keys.c.kek_id)).scalars()) == [done.kek_id]


def test_a_process_that_starts_while_a_rotation_ends_finds_the_key_in_its_place(world, monkeypatch):
    before, coming = world.key(), world.key_file.with_name("master.key.next")
    master_key.write_key_file(coming, after := os.urandom(32), replace=True)
    with database.open_database(world.settings.accounts_database) as db:
        rotation.rewrap(db, before, after)
        asked = rotation.is_known

        def is_known(db, key):
            """The answer of this moment; in the next the rotation is over."""
            answer = asked(db, key)
            if coming.exists():
                rotation._switch(world.key_file, after)
            return answer

        monkeypatch.setattr(rotation, "is_known", is_known)
        assert rotation.key_in_force(world.settings, db) == after


def test_web_addresses_of_alert_rules_are_wrapped_anew_too(world):
    url = key_vault.Secret("https://hooks.slack.com/services/T0/B0/canarypath9z8y")
    with Services(world.settings) as services:
        master, db = services.master, services.db
        target = Target("webhook", url, "hooks.slack.com")
        rule, key = alert_rules.add(db, master, world.user_id, Terms(), target, now=world.now)
        alert_rules.add(db, master, world.user_id, Terms(), Target("mail"), now=world.now)
    assert world.rotate().rows == 4
    with Services(world.settings) as services:
        opened = alert_rules.web_address(services.db, services.master, rule)
        assert [secret.reveal() for secret in opened] == [url.reveal(), key.reveal()]
        with pytest.raises(WebhookUnreadable):
            alert_rules.web_address(services.db, master, rule)


def test_a_web_address_opens_for_its_own_rule_and_purpose_only(world):
    with Services(world.settings) as services:
        made = []
        for name in ("one", "two"):
            target = Target("slack", key_vault.Secret(f"https://hooks.slack.com/{name}"), "hooks.slack.com")
            made.append(alert_rules.add(services.db, services.master, world.user_id, Terms(), target, now=world.now)[0])
        sealed = ("version", "kek_id", "wrapped_key", "sealed_secret")
        with services.db.writing() as connection:
            rows = {row.id: row for row in connection.execute(sa.select(tables.alert_rules))}
            moved = {name: getattr(rows[made[0].id], name) for name in sealed}
            connection.execute(sa.update(tables.alert_rules).where(tables.alert_rules.c.id == made[1].id).values(**moved))
        assert alert_rules.web_address(services.db, services.master, made[0])[0].reveal().endswith("/one")
        with pytest.raises(WebhookUnreadable):
            alert_rules.web_address(services.db, services.master, made[1])
        found = envelope.Envelope(*moved.values())
        with pytest.raises(envelope.EnvelopeBroken):
            envelope.unseal(services.master, key_vault.PURPOSE, (world.user_id, made[0].id, "slack"), found)


def test_the_old_key_stays_beside_the_new_one_for_old_backups(world):
    old = world.key()
    world.rotate()
    assert sorted(path.name for path in world.key_file.parent.iterdir()) == ["master.key", "master.key.old"]
    assert master_key.read_key_file(world.key_file.with_name("master.key.old")) == old


def test_the_old_master_key_is_wrong_afterwards(world):
    old = world.key_file.read_bytes()
    world.rotate()
    world.key_file.write_bytes(old)
    with pytest.raises(MasterKeyWrong), Services(world.settings) as services:
        _ = services.db


def test_a_key_can_be_given(world, tmp_path):
    given = tmp_path / "given.key"
    master_key.write_key_file(given, bytes(range(50, 82)), replace=False)
    world.rotate(new_key_file=given)
    assert world.key() == bytes(range(50, 82))
    with pytest.raises(MasterKeyInvalid, match="the new one is the old one"):
        world.rotate(new_key_file=given)
    with Services(world.settings) as services:
        assert world.opened(services) == world.keys


def test_a_given_key_must_make_sense_and_lie_outside_the_data_directory(world):
    inside = world.settings.data / "next.key"
    master_key.write_key_file(inside, bytes(range(50, 82)), replace=False)
    with pytest.raises(MasterKeyInvalid, match="data directory"):
        world.rotate(new_key_file=inside)
    short = world.key_file.with_name("short.key")
    short.write_text("c2hvcnQ=")
    short.chmod(0o600)
    with pytest.raises(MasterKeyInvalid, match="5 bytes"):
        world.rotate(new_key_file=short)
    with Services(world.settings) as services:
        assert world.opened(services) == world.keys


def test_a_key_from_the_environment_is_rotated_into_a_file(world, tmp_path):
    given = {"BYOK_DATA": str(world.settings.data), "BYOK_MASTER_KEY": base64.b64encode(world.key()).decode()}
    settings = settings_module.load(given | {"BYOK_MASTER_KEY_FILE": str(tmp_path / "unused" / "key")})
    target = tmp_path / "next.key"
    with database.open_database(settings.accounts_database) as db:
        with pytest.raises(MasterKeyInvalid, match="--new-key"):
            rotation.rotate(settings, db)
        assert rotation.rotate(settings, db, new_key_file=target).rows == 3
        assert rotation.rotate(settings, db, new_key_file=target).rows is None
    with pytest.raises(MasterKeyWrong), Services(settings) as services:
        _ = services.db
    with Services(settings_module.load({"BYOK_DATA": str(settings.data), "BYOK_MASTER_KEY_FILE": str(target)})) as services:
        assert world.opened(services) == world.keys


# Who runs meanwhile


def test_a_running_process_takes_the_new_key_up_without_a_restart(world):
    with Services(world.settings) as running, Services(world.settings) as other:
        before, form_key = running.jwt_secret, running.master
        world.rotate()
        assert world.opened(running) == world.keys
        assert running.master == world.key() != form_key
        assert running.jwt_secret == other.jwt_secret == master_key.subkey(world.key(), "jwt") != before
        late = world.add(running, "sk-added-after-0000")
        assert world.opened(other) == world.keys
        assert key_vault.choose(other.db, world.key(), world.user_id, "openai", late)[1].reveal() == "sk-added-after-0000"


def test_a_jwt_from_before_the_rotation_is_void(world):
    with Services(world.settings) as running:
        jwt = api_tokens.issue(world.user_id, running.jwt_secret, now=world.now)
        assert api_tokens.read(jwt, running.jwt_secret, now=world.now).user_id == world.user_id
        world.rotate()
        assert api_tokens.read(jwt, running.jwt_secret, now=world.now) is None


def test_a_gateway_opens_keys_and_a_page_stores_them_while_the_master_key_is_rotated_again_and_again(world):
    ended, faults, stored, opened = threading.Event(), [], {}, 0

    def keep_opening(services: Services) -> None:
        nonlocal opened
        while not ended.is_set():
            try:
                assert world.opened(services) == world.keys
                opened += 1
            except Exception as fault:
                faults.append(fault)

    def keep_storing(services: Services) -> None:
        while not ended.is_set():
            text = f"sk-stored-meanwhile-{len(stored):06}"
            try:
                stored[world.add(services, text)] = text
            except MasterKeyReplaced:  # refused, and so nothing is stored under a key that is gone
                pass
            except Exception as fault:
                faults.append(fault)

    with Services(world.settings) as gateway, Services(world.settings) as page:
        threads = [threading.Thread(target=keep_opening, args=(gateway,)), threading.Thread(target=keep_storing, args=(page,))]
        for thread in threads:
            thread.start()
        for _ in range(8):
            world.rotate()
        ended.set()
        for thread in threads:
            thread.join()
        assert faults == []
        assert opened
        assert stored
        for key_id, text in stored.items():
            assert key_vault.choose(gateway.db, gateway.master, world.user_id, "openai", key_id)[1].reveal() == text


def test_a_secret_is_never_stored_under_a_key_that_is_gone(world):
    with Services(world.settings) as running:
        old = running.master
        world.rotate()
        with pytest.raises(MasterKeyReplaced):
            key_vault.add(running.db, old, world.user_id, "openai", TEXTS[0], now=world.now)
        assert len(key_vault.of_user(running.db, world.user_id)) == 3


def test_a_process_keeps_its_key_while_the_file_is_gone_or_nonsense(world):
    with Services(world.settings) as running:
        key = running.master
        _ = running.db
        aside = world.key_file.rename(world.key_file.with_name("aside"))
        assert running.master == key
        for text in (b"nonsense", base64.b64encode(bytes(range(32)))):
            world.key_file.write_bytes(text)
            world.key_file.chmod(0o600)
            assert running.master == key
        aside.replace(world.key_file)
        assert world.opened(running) == world.keys


# Tampering


@pytest.mark.parametrize("column", ["wrapped_key", "sealed_secret"])
def test_a_record_that_does_not_open_stops_the_rotation_and_is_named(world, column):
    broken = sorted(world.keys)[1]
    with Services(world.settings) as services:
        with services.db.writing() as connection:
            mine = tables.vendor_keys.c
            content = connection.execute(sa.select(mine[column]).where(mine.id == broken)).scalar_one()
            flipped = content[:-1] + bytes([content[-1] ^ 1])
            connection.execute(sa.update(tables.vendor_keys).where(mine.id == broken).values({column: flipped}))
        old = world.key()
        with pytest.raises(RecordBroken, match=broken):
            world.rotate()
        assert world.key() == old
        assert services.master == old
        key_vault.revoke(services.db, world.user_id, broken)
        del world.keys[broken]
        assert world.rotate().rows == 2
        assert world.opened(services) == world.keys


def test_every_table_with_wrapped_secrets_is_rotated():
    sealed = {name for name, table in METADATA.tables.items() if "wrapped_key" in table.c}
    assert sealed == {kind.table.name for kind in rotation.WRAPPED}


def test_wrapping_anew_leaves_the_sealed_text_and_its_bonds(master):
    before = envelope.seal(master, "vendor-key-wrap", ("usr_1", "key_1", "openai"), TEXTS[0])
    other = bytes(range(32))
    after = envelope.rewrap(master, other, "vendor-key-wrap", ("usr_1", "key_1", "openai"), before)
    assert after.sealed_secret == before.sealed_secret
    assert envelope.unseal(other, "vendor-key-wrap", ("usr_1", "key_1", "openai"), after) == TEXTS[0]
    for key, purpose, identity in (
        (master, "vendor-key-wrap", ("usr_1", "key_1", "openai")),
        (other, "alert", ("usr_1", "key_1", "openai")),
        (other, "vendor-key-wrap", ("usr_2", "key_1", "openai")),
    ):
        with pytest.raises(envelope.EnvelopeBroken):
            envelope.unseal(key, purpose, identity, after)


# A copy of the data directory


def test_a_copy_of_the_data_directory_yields_no_vendor_key(world, tmp_path):
    world.rotate()
    copy = tmp_path / "stolen"
    shutil.copytree(world.settings.data, copy)
    written = b"".join(path.read_bytes() for path in copy.rglob("*") if path.is_file())
    assert written
    for text in TEXTS:
        raw = text.encode()
        encoded = [base64.b64encode(b"\0" * shift + raw)[4:-4] for shift in range(3)]
        assert [form for form in (raw, raw.hex().encode(), text.encode("utf-16-le"), *encoded) if form in written] == []
        assert [text[at : at + 8] for at in range(len(text) - 7) if text[at : at + 8].encode() in written] == []
    for key in (world.key(), master_key.read_key_file(world.key_file.with_name("master.key.old"))):
        assert [form for form in (key, base64.b64encode(key), key.hex().encode()) if form in written] == []
    with pytest.raises(MasterKeyWrong):
        settings = settings_module.load({"BYOK_DATA": str(copy), "BYOK_MASTER_KEY_FILE": str(tmp_path / "another.key")})
        with Services(settings) as services:
            _ = services.db


# Kills: the child ends itself at one line of rotation.py or master_key.py after the other, until it gets through

STEP = 3


def killed_at(line: int, work: Callable[[], object]) -> bool:
    """Do `work` in a child that is killed when it is about to run its `line`-th line; whether it came that far."""
    child = os.fork()
    if child == 0:
        _die_at(line)
        try:
            work()
        finally:
            os._exit(0 if sys.exc_info()[0] is None else 1)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0
    return False


def _die_at(line: int) -> None:
    watched = {rotation.__file__, master_key.__file__}
    left = line

    def trace(frame, event, _argument):
        nonlocal left
        if frame.f_code.co_filename not in watched:
            return None
        if event == "line":
            left -= 1
            if left <= 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return trace

    sys.settrace(trace)


def lines() -> Iterator[int]:
    line = 1
    while True:
        yield line
        line += STEP


@pytest.mark.slow
def test_a_kill_at_any_line_leaves_an_installation_that_works_and_a_rotation_that_can_be_finished(world, tmp_path):
    whole = tmp_path / "whole"
    for folder in ("config", "data"):
        shutil.copytree(tmp_path / folder, whole / folder)
    old, kills, states = world.key(), 0, set()
    for line in lines():
        if not killed_at(line, world.rotate):
            break
        kills += 1
        left = frozenset(path.name for path in world.key_file.parent.iterdir() if not path.name.startswith("."))
        with database.open_database(world.settings.accounts_database) as db:
            states.add((left, master_key.is_known(db, old)))
        with Services(world.settings) as services:  # what is started now works
            assert world.opened(services) == world.keys, line
            world.add(services, "sk-added-in-between")
        done = world.rotate()  # and the same command again ends it
        with Services(world.settings) as services:
            assert world.opened(services) == world.keys, line
            assert services.master == world.key() != old
            assert master_key.kek_id(world.key()) == done.kek_id
        assert "master.key.next" not in {path.name for path in world.key_file.parent.iterdir()}
        for folder in ("config", "data"):
            shutil.rmtree(tmp_path / folder)
            shutil.copytree(whole / folder, tmp_path / folder)
    assert kills > 30
    assert {(frozenset({"master.key"}), True), (frozenset({"master.key", "master.key.next"}), True)} <= states
    assert (frozenset({"master.key", "master.key.next"}), False) in states, "no kill fell between transaction and files"


def test_a_second_rotation_waits_for_the_first(world):
    done: list[rotation.Rotation | ByokError] = []

    def turn() -> None:
        try:
            done.append(world.rotate())
        except ByokError as fault:
            done.append(fault)

    threads = [threading.Thread(target=turn) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [one.rows for one in done] == [3, 3, 3, 3]
    with Services(world.settings) as services:
        assert world.opened(services) == world.keys
