import base64
import multiprocessing
import os
import stat
import struct
from typing import get_args

import pytest

from byok import settings as settings_module
from byok.accounts.errors import MasterKeyInvalid, MasterKeyWrong
from byok.accounts.master_key import Purpose, check_master_key, check_value, kek_id, load_master_key, subkey


@pytest.fixture
def settings(tmp_path):
    return settings_module.load(
        {"BYOK_DATA": str(tmp_path / "data"), "BYOK_MASTER_KEY_FILE": str(tmp_path / "config" / "byok" / "master.key")}
    )


def test_the_first_start_makes_a_key_for_the_owner_only(settings):
    key = load_master_key(settings)
    path = settings.master_key_file
    assert len(key) == 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert base64.b64decode(path.read_text()) == key == load_master_key(settings)
    assert [file.name for file in path.parent.iterdir()] == ["master.key"]


def test_processes_that_start_at_once_agree_on_one_key(settings):
    with multiprocessing.get_context("fork").Pool(8) as pool:
        assert len(set(pool.map(load_master_key, [settings] * 24, chunksize=1))) == 1


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"", "0 bytes"),
        (b"c2hvcnQ=", "5 bytes"),
        (base64.b64encode(bytes(range(33))), "33 bytes"),
        (b"not base64 at all!", "base64"),
        (b"\xff\xfe\x00", "base64"),
        (base64.b64encode(bytes(32)), "filler"),
        (base64.b64encode(b"abab" * 8), "filler"),
    ],
)
def test_a_key_that_is_no_key_is_refused(settings, text, why):
    settings.master_key_file.parent.mkdir(parents=True)
    settings.master_key_file.write_bytes(text)
    settings.master_key_file.chmod(0o600)
    with pytest.raises(MasterKeyInvalid, match=why) as caught:
        load_master_key(settings)
    assert not text or text.decode("latin-1") not in str(caught.value)


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o660, 0o604, 0o602])
def test_a_key_that_others_can_read_is_refused(settings, mode):
    load_master_key(settings)
    settings.master_key_file.chmod(mode)
    with pytest.raises(MasterKeyInvalid, match=f"{mode:04o}"):
        load_master_key(settings)


OWNER, USER, GROUP, MASK, OTHERS, NOBODY_NAMED = 0x01, 0x02, 0x04, 0x10, 0x20, 0xFFFFFFFF


@pytest.mark.skipif(not hasattr(os, "setxattr"), reason="only Linux has these")
@pytest.mark.parametrize(("reader", "group", "well"), [(os.geteuid(), 0, True), (os.geteuid() + 1, 0, False), (os.geteuid(), 4, False)])
def test_a_key_that_an_access_list_gives_to_us_alone_is_taken_as_systemd_gives_it(settings, reader, group, well):
    key, read = load_master_key(settings), 4
    entries = [(OWNER, read, NOBODY_NAMED), (USER, read, reader), (GROUP, group, NOBODY_NAMED), (MASK, read, NOBODY_NAMED)]
    packed = b"".join(struct.pack("<HHI", *entry) for entry in (*entries, (OTHERS, 0, NOBODY_NAMED)))
    try:
        os.setxattr(settings.master_key_file, "system.posix_acl_access", struct.pack("<I", 2) + packed)
    except OSError:
        pytest.skip("this file system has no access lists")
    assert settings.master_key_file.stat().st_mode & 0o777 == 0o440
    if well:
        assert load_master_key(settings) == key
    else:
        with pytest.raises(MasterKeyInvalid, match="0440"):
            load_master_key(settings)


def test_a_key_in_the_environment_needs_no_file(tmp_path):
    key = bytes(range(32))
    given = {
        "BYOK_DATA": str(tmp_path),
        "BYOK_MASTER_KEY": base64.urlsafe_b64encode(key).decode(),
        "BYOK_MASTER_KEY_FILE": str(tmp_path / "k" / "key"),
    }
    assert load_master_key(settings_module.load(given)) == key
    assert not (tmp_path / "k").exists()


def test_each_purpose_has_a_key_of_its_own(master):
    keys = [subkey(master, purpose) for purpose in get_args(Purpose)]
    assert len({master, *keys}) == 1 + len(keys) == 8
    assert {len(key) for key in keys} == {32}
    assert subkey(master, "jwt") == subkey(master, "jwt") != subkey(bytes(32), "jwt")


def test_a_wrong_master_key_is_found_at_start(db, master):
    check_master_key(db, master)
    check_master_key(db, master)
    with pytest.raises(MasterKeyWrong):
        check_master_key(db, bytes(range(32)))
    check_master_key(db, master)


def test_what_is_stored_of_the_key_is_not_the_key(master):
    assert master.hex() not in check_value(master)
    assert check_value(master).startswith(kek_id(master))
