import pytest

from byok.accounts import key_vault, saved_views, users
from byok.errors import BadRequest, NotFound

MASTER = b"m" * 32


def names(db, user):
    return [(view.name, view.page, view.query) for view in saved_views.of_user(db, user.id)]


@pytest.fixture
def bob(db, now):
    return users.add(db, "bob@example.org", now=now)


def test_a_view_is_kept_renamed_replaced_and_deleted(db, ada, now):
    saved_views.save(db, ada.id, " my  week ", "explore", "range=7d", now=now)
    other = saved_views.save(db, ada.id, "a month", "", "range=30d", now=now)
    saved_views.save(db, ada.id, "my week", "explore", "range=24h", now=now)
    assert names(db, ada) == [("a month", "", "range=30d"), ("my week", "explore", "range=24h")]
    saved_views.rename(db, ada.id, other.id, "zulu")
    assert [name for name, *_ in names(db, ada)] == ["my week", "zulu"]
    with pytest.raises(BadRequest):
        saved_views.rename(db, ada.id, other.id, "my week")
    assert saved_views.delete(db, ada.id, other.id)
    assert not saved_views.delete(db, ada.id, other.id)


def test_nobody_reaches_anothers_view(db, ada, bob, now):
    mine = saved_views.save(db, ada.id, "mine", "", "range=7d", now=now)
    assert saved_views.of_user(db, bob.id) == []
    assert not saved_views.delete(db, bob.id, mine.id)
    with pytest.raises(NotFound):
        saved_views.rename(db, bob.id, mine.id, "his")
    assert names(db, ada) == [("mine", "", "range=7d")]


@pytest.mark.parametrize(("name", "query"), [("", "a=b"), (" ", "a=b"), ("x" * 81, "a=b"), ("a\x00b", "a=b"), ("x", "q" * 2001)])
def test_what_makes_no_sense_is_refused(db, ada, now, name, query):
    with pytest.raises(BadRequest):
        saved_views.save(db, ada.id, name, "", query, now=now)


def test_not_more_than_the_most(db, ada, now, monkeypatch):
    monkeypatch.setattr(saved_views, "MOST", 2)
    for name in ("a", "b", "a"):
        saved_views.save(db, ada.id, name, "", "", now=now)
    with pytest.raises(BadRequest):
        saved_views.save(db, ada.id, "c", "", "", now=now)


def test_an_erased_user_takes_own_views_along_and_those_of_others_that_name_the_user(db, ada, bob, now):
    key = key_vault.add(db, MASTER, ada.id, "openai", "sk-0123456789", now=now)
    saved_views.save(db, ada.id, "hers", "", "range=7d", now=now)
    saved_views.save(db, bob.id, "of her", "", f"range=7d&user={bob.id}&user={ada.id}", now=now)
    saved_views.save(db, bob.id, "of her key", "", f"key={key.id}", now=now)
    saved_views.save(db, bob.id, "his own", "", f"user={bob.id}", now=now)
    users.remove(db, ada.id, now=now)
    assert [name for name, *_ in names(db, bob)] == ["his own"]
    assert saved_views.of_user(db, ada.id) == []
