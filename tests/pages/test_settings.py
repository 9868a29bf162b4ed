"""Settings: what is saved goes to the accounts, of the one who is signed in and of nobody else."""

from byok.accounts import users
from tests.pages.conftest import NOW
from tests.pages.reading import headings, text_of

PAGE = "pages/settings.py"


def save(app):
    return next(one for one in app.button if one.label == "Save").click().run()


def test_name_and_zone_are_saved(book, ada, open_app):
    app = open_app(ada, page=PAGE)
    assert (app.text_input(key="own-name").value, app.selectbox(key="own-zone").value) == ("Ada", "UTC")
    app.text_input(key="own-name").set_value("Ada L.")
    app.selectbox(key="own-zone").set_value("Asia/Kolkata")
    save(app)
    found = users.by_id(book.db, ada.id)
    assert (found.name, found.tz) == ("Ada L.", "Asia/Kolkata")
    assert "use **Asia/Kolkata**" in text_of(app)


def test_a_name_that_makes_no_sense_is_refused_in_words(book, ada, open_app):
    app = open_app(ada, page=PAGE)
    app.text_input(key="own-name").set_value("a\u202eb")
    save(app)
    assert "The name is not valid." in app.error[0].value
    assert users.by_id(book.db, ada.id).name == "Ada"


def test_a_name_is_shown_as_it_is_written(book, ada, open_app):
    users.change(book.db, ada.id, name="**[x](http://e.example)**")
    app = open_app(users.by_id(book.db, ada.id))
    assert "**[x](http://e.example)**" in [one.value for one in app.sidebar.text]


def test_an_ended_session_saves_nothing(book, ada, open_app):
    app = open_app(ada, page=PAGE)
    users.change(book.db, ada.id, disabled=True)
    app.text_input(key="own-name").set_value("Eve")
    save(app)
    assert users.by_id(book.db, ada.id).name == "Ada"
    assert "You" not in headings(app)


def test_others_are_not_touched(book, ada, open_app):
    eve = users.add(book.db, "eve@example.org", now=NOW, name="Eve")
    app = open_app(eve, page=PAGE)
    app.text_input(key="own-name").set_value("Evelyn")
    save(app)
    assert (users.by_id(book.db, ada.id).name, users.by_id(book.db, eve.id).name) == ("Ada", "Evelyn")


def test_signed_out_it_shows_the_form_only(ada, open_app):
    assert "You" not in headings(open_app(None, script=PAGE))
