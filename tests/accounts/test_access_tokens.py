import re
from datetime import timedelta

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from byok.accounts import access_tokens, tables, users
from byok.accounts.errors import UserUnknown
from byok.errors import BadRequest


def test_a_token_has_the_form_of_the_contract_and_names_its_user(db, ada, bob, now):
    token = access_tokens.create(db, ada.id, now=now, label=" laptop ")
    assert re.fullmatch(r"byok_[A-Za-z0-9]{8}_[A-Za-z0-9_-]{43}", token)
    assert access_tokens.verify(db, token, now=now) == ada
    (shown,) = access_tokens.of_user(db, ada.id)
    assert (shown.id, shown.label, shown.created_at, shown.expires_at) == (token[5:13], "laptop", now, None)
    assert access_tokens.of_user(db, bob.id) == []


def test_only_a_hash_is_kept(db, ada, now):
    token = access_tokens.create(db, ada.id, now=now)
    with db.reading() as connection:
        row = connection.execute(sa.select(tables.access_tokens)).one()
    assert token[14:] not in str(tuple(row))


def test_the_last_use_is_kept_to_the_minute(db, ada, now):
    token = access_tokens.create(db, ada.id, now=now)
    for seconds, noted in ((0, 0), (59, 0), (60, 60), (90, 60), (3600, 3600)):
        access_tokens.verify(db, token, now=now + timedelta(seconds=seconds))
        assert access_tokens.of_user(db, ada.id)[0].last_used_at == now + timedelta(seconds=noted)


def test_an_expired_token_is_refused(db, ada, now):
    token = access_tokens.create(db, ada.id, now=now, ttl_s=60)
    assert access_tokens.verify(db, token, now=now + timedelta(seconds=59)) == ada
    assert access_tokens.verify(db, token, now=now + timedelta(seconds=60)) is None


def test_only_the_owner_revokes_and_it_holds_at_once(db, ada, bob, now):
    token, other = access_tokens.create(db, ada.id, now=now), access_tokens.create(db, ada.id, now=now)
    assert not access_tokens.revoke(db, bob.id, token[5:13])
    assert access_tokens.revoke(db, ada.id, token[5:13])
    assert not access_tokens.revoke(db, ada.id, token[5:13])
    assert not access_tokens.revoke(db, ada.id, "\0\ud800' or 1=1")
    assert access_tokens.verify(db, token, now=now) is None
    assert access_tokens.verify(db, other, now=now) == ada


def test_a_disabled_user_does_not_get_in(db, ada, now):
    token = access_tokens.create(db, ada.id, now=now)
    users.change(db, ada.id, disabled=True)
    assert access_tokens.verify(db, token, now=now) is None
    users.change(db, ada.id, disabled=False)
    assert access_tokens.verify(db, token, now=now).id == ada.id
    users.remove(db, ada.id, now=now)
    assert access_tokens.verify(db, token, now=now) is None


def test_a_token_belongs_to_someone_and_its_label_is_one_line(db, ada, now):
    with pytest.raises(UserUnknown):
        access_tokens.create(db, "usr_nobody", now=now)
    with pytest.raises(BadRequest):
        access_tokens.create(db, ada.id, now=now, label="two\nlines")


def test_no_other_spelling_of_a_token_passes(db, ada, now):
    token = access_tokens.create(db, ada.id, now=now)

    @given(place=st.integers(0, len(token) - 1), sign=st.characters())
    def one_character_changed(place, sign):
        changed = token[:place] + sign + token[place + 1 :]
        assert (access_tokens.verify(db, changed, now=now) is not None) == (changed == token)

    @given(text=st.text() | st.from_regex(r"byok_[A-Za-z0-9]{8}_[A-Za-z0-9_-]{43}", fullmatch=True))
    def any_text(text):
        assert access_tokens.verify(db, text, now=now) is None

    one_character_changed()
    any_text()
    for changed in (token + "\n", " " + token, token[:-1], token + "A", token.upper(), token.lower()):
        assert access_tokens.verify(db, changed, now=now) is None
