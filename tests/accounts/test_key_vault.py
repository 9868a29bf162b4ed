import copy
import pickle
from datetime import timedelta

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from byok.accounts import envelope, key_vault, tables, users
from byok.accounts.errors import UserUnknown, VendorKeyInvalid, VendorKeyUnreadable
from byok.accounts.key_vault import Secret
from byok.errors import BadRequest, NotFound, VendorKeyMissing

TEXT = "sk-test-Qm7RtYp2LhVd8sKfWXYZ"


@pytest.fixture
def key(db, master, ada, now):
    return key_vault.add(db, master, ada.id, "openai", TEXT, now=now, label="work")


def overwrite(db, key_id: str, **values: object) -> None:
    with db.writing() as connection:
        connection.execute(sa.update(tables.vendor_keys).where(tables.vendor_keys.c.id == key_id).values(**values))


def row_of(db, key_id: str) -> dict:
    with db.reading() as connection:
        return dict(connection.execute(sa.select(tables.vendor_keys).where(tables.vendor_keys.c.id == key_id)).mappings().one())


def test_a_key_comes_out_as_it_went_in(db, master, ada, key):
    key_id, secret = key_vault.choose(db, master, ada.id, "openai")
    assert (key_id, secret.reveal()) == (key.id, TEXT)
    assert key_vault.choose(db, master, ada.id, "openai", key.id)[1].reveal() == TEXT


def test_shown_are_label_and_last_four_only(db, ada, key, now):
    (shown,) = key_vault.of_user(db, ada.id)
    assert shown == key
    assert (shown.label, shown.last_four, shown.default, shown.created_at) == ("work", "WXYZ", True, now)
    assert (shown.last_used_at, shown.refused_at) == (None, None)
    assert TEXT[:-4] not in repr(shown)


def test_of_a_short_key_not_even_the_end_is_shown(db, master, ada, now):
    assert key_vault.add(db, master, ada.id, "ollama", "abc1234", now=now).last_four == ""


def test_a_secret_prints_and_travels_nowhere():
    secret = Secret(TEXT)
    assert [repr(secret), str(secret), f"{secret}", f"{secret!r}", "%s" % secret, str([secret])] == ["***"] * 5 + ["[***]"]  # noqa: UP031
    for take in (pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError):
            take(secret)
    with pytest.raises(TypeError):
        vars(secret)


def test_no_piece_of_the_key_is_stored_in_the_clear(db, master, ada, key):
    stored = b"".join(value if isinstance(value, bytes) else str(value).encode() for value in row_of(db, key.id).values())
    assert [TEXT[at : at + 5] for at in range(len(TEXT) - 4) if TEXT[at : at + 5].encode() in stored] == []


def test_the_same_key_twice_looks_different_each_time(db, master, ada, key, now):
    again = key_vault.add(db, master, ada.id, "openai", TEXT, now=now)
    one, two = row_of(db, key.id), row_of(db, again.id)
    assert one["sealed_secret"][:12] != two["sealed_secret"][:12]
    assert one["sealed_secret"] != two["sealed_secret"]
    assert one["wrapped_key"] != two["wrapped_key"]
    assert one["kek_id"] == two["kek_id"]


@pytest.mark.parametrize(
    "secret", ["", "  ", "\n", "sk-with space", "sk-two\nlines", "sk-\0nul", "sk-\x1b[31m", "sk-ümlaut", "sk-\u200b", "x" * 4097]
)
def test_what_is_no_key_is_refused(db, master, ada, now, secret):
    with pytest.raises(VendorKeyInvalid) as caught:
        key_vault.add(db, master, ada.id, "openai", secret, now=now)
    assert not secret.strip() or secret not in str(caught.value)
    assert key_vault.of_user(db, ada.id) == []


def test_what_a_pipe_leaves_around_a_key_is_taken_off(db, master, ada, now):
    key_vault.add(db, master, ada.id, "openai", f" {TEXT}\r\n", now=now)
    assert key_vault.choose(db, master, ada.id, "openai")[1].reveal() == TEXT
    key_vault.add(db, master, ada.id, "gemini", "x" * 4096, now=now)


@pytest.mark.parametrize("vendor", ["", "OpenAI", "open|ai", "../x", "a" * 40, "x\n"])
def test_a_vendor_is_a_plain_name(db, master, ada, now, vendor):
    with pytest.raises(BadRequest):
        key_vault.add(db, master, ada.id, vendor, TEXT, now=now)


@pytest.mark.parametrize("label", ["two\nlines", "x" * 101, f"my key {TEXT}"])
def test_a_label_is_one_line_and_not_the_key(db, master, ada, now, label):
    with pytest.raises(BadRequest):
        key_vault.add(db, master, ada.id, "openai", TEXT, now=now, label=label)


def test_a_key_belongs_to_someone(db, master, now):
    with pytest.raises(UserUnknown):
        key_vault.add(db, master, "usr_nobody", "openai", TEXT, now=now)


# Whose key, which key


def test_the_first_is_the_default_and_the_next_oldest_inherits(db, master, ada, now):
    first, second, third = (key_vault.add(db, master, ada.id, "openai", f"{TEXT}{n}", now=now + timedelta(seconds=n)) for n in range(3))
    other = key_vault.add(db, master, ada.id, "gemini", TEXT, now=now)
    assert [key.default for key in (first, second, third, other)] == [True, False, False, True]
    key_vault.make_default(db, ada.id, third.id)
    assert key_vault.choose(db, master, ada.id, "openai")[0] == third.id
    assert key_vault.revoke(db, ada.id, third.id)
    assert key_vault.choose(db, master, ada.id, "openai")[0] == first.id
    assert key_vault.revoke(db, ada.id, second.id)
    assert key_vault.choose(db, master, ada.id, "openai")[0] == first.id
    assert key_vault.revoke(db, ada.id, first.id)
    with pytest.raises(VendorKeyMissing):
        key_vault.choose(db, master, ada.id, "openai")
    assert key_vault.choose(db, master, ada.id, "gemini")[0] == other.id


def test_the_key_of_another_user_is_like_none(db, master, ada, bob, key):
    assert key_vault.of_user(db, bob.id) == []
    assert not key_vault.revoke(db, bob.id, key.id)
    with pytest.raises(NotFound):
        key_vault.make_default(db, bob.id, key.id)
    answers = []
    for key_id in (None, key.id, "key_unknown1", "", "' or 1=1 --", "\0", "\ud800"):
        with pytest.raises(VendorKeyMissing) as caught:
            key_vault.choose(db, master, bob.id, "openai", key_id)
        answers.append(str(caught.value))
    assert len(set(answers[1:])) == 1
    assert key_vault.choose(db, master, ada.id, "openai")[0] == key.id


def test_a_key_serves_its_own_vendor_only(db, master, ada, key):
    with pytest.raises(VendorKeyMissing):
        key_vault.choose(db, master, ada.id, "anthropic", key.id)


def test_use_and_refusal_are_noted(db, ada, key, now):
    for seconds, noted in ((0, 0), (59, 0), (61, 61)):
        key_vault.note_used(db, key.id, now=now + timedelta(seconds=seconds))
        assert key_vault.of_user(db, ada.id)[0].last_used_at == now + timedelta(seconds=noted)
    key_vault.note_refused(db, key.id, now=now)
    assert key_vault.of_user(db, ada.id)[0].refused_at == now
    key_vault.note_refused(db, key.id, now=None)
    assert key_vault.of_user(db, ada.id)[0].refused_at is None


# Tampering


def test_a_record_moved_to_another_user_key_or_vendor_does_not_open(db, master, ada, bob, now, key):
    others = [
        key_vault.add(db, master, bob.id, "openai", "sk-of-bob-12345678", now=now),
        key_vault.add(db, master, ada.id, "openai", "sk-second-12345678", now=now),
        key_vault.add(db, master, ada.id, "anthropic", "sk-ant-12345678", now=now),
    ]
    taken = row_of(db, key.id)
    for other in others:
        for columns in (("wrapped_key", "sealed_secret"), ("sealed_secret",), ("wrapped_key",)):
            kept = row_of(db, other.id)
            overwrite(db, other.id, **{name: taken[name] for name in columns})
            with pytest.raises(VendorKeyUnreadable):
                key_vault.choose(db, master, other.user_id, other.vendor, other.id)
            overwrite(db, other.id, **{name: kept[name] for name in columns})
    overwrite(db, key.id, user_id=bob.id, is_default=False)
    with pytest.raises(VendorKeyUnreadable):
        key_vault.choose(db, master, bob.id, "openai", key.id)


def test_every_flipped_bit_is_found(db, master, ada, key):
    row = row_of(db, key.id)

    @settings(max_examples=60, deadline=None)
    @given(column=st.sampled_from(["wrapped_key", "sealed_secret"]), place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
    def flipped(column, place, bit):
        content = bytearray(row[column])
        content[int(place * len(content))] ^= 1 << bit
        overwrite(db, key.id, **{column: bytes(content)})
        with pytest.raises(VendorKeyUnreadable):
            key_vault.choose(db, master, ada.id, "openai")
        overwrite(db, key.id, **{column: row[column]})

    flipped()
    for column in ("wrapped_key", "sealed_secret"):
        for content in (b"", row[column][:12], row[column][:-1], row[column] + b"\0"):
            overwrite(db, key.id, **{column: content})
            with pytest.raises(VendorKeyUnreadable):
                key_vault.choose(db, master, ada.id, "openai")
        overwrite(db, key.id, **{column: row[column]})
    for values in ({"version": 2}, {"kek_id": "0123456789abcdef"}):
        overwrite(db, key.id, **values)
        with pytest.raises(VendorKeyUnreadable):
            key_vault.choose(db, master, ada.id, "openai")
        overwrite(db, key.id, **{name: row[name] for name in values})
    assert key_vault.choose(db, master, ada.id, "openai")[1].reveal() == TEXT


def test_without_the_master_key_nothing_opens(db, ada, key):
    with pytest.raises(VendorKeyUnreadable) as caught:
        key_vault.choose(db, bytes(range(32)), ada.id, "openai")
    assert TEXT not in str(caught.value)


def test_what_one_purpose_sealed_does_not_open_as_another(master):
    sealed = envelope.seal(master, "vendor-key-wrap", ("usr_1", "key_1", "openai"), TEXT)
    assert envelope.unseal(master, "vendor-key-wrap", ("usr_1", "key_1", "openai"), sealed) == TEXT
    for purpose, identity in (
        ("alert", ("usr_1", "key_1", "openai")),
        ("vendor-key-wrap", ("usr_1", "key_1openai")),
        ("vendor-key-wrap", ()),
    ):
        with pytest.raises(envelope.EnvelopeBroken):
            envelope.unseal(master, purpose, identity, sealed)
    with pytest.raises(ValueError, match="holds no"):
        envelope.seal(master, "vendor-key-wrap", ("usr_1|key_1", "openai"), TEXT)
    assert TEXT not in repr(sealed)


def test_a_removed_user_takes_the_keys_along(db, master, ada, key, now):
    users.remove(db, ada.id, now=now)
    with pytest.raises(VendorKeyMissing):
        key_vault.choose(db, master, ada.id, "openai", key.id)
