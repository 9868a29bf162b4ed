"""Mail through real SMTP servers: encrypted unless it stays on this machine, with headers that nobody can add to."""

import socket
import threading
from dataclasses import replace

import pytest

from byok.notify import email, outgoing
from byok.notify.email import Mail
from byok.notify.outcome import later, refused, sent
from byok.settings import Settings
from tests.notify.conftest import NOW
from tests.notify.receivers import MailServer, parts

LETTER = Mail(
    "ada@example.org",
    "Figures of Ä",
    "Calls 1,234,567\n",
    "<p>Calls 1,234,567 — &amp;</p>",
    "dlv_1",
    "http://x.example/u?token=" + "t" * 120,
)


def settings(tmp_path, url: str) -> Settings:
    return Settings(data=tmp_path / "data", smtp_url=url, mail_from="Bÿok <byok@byok.example>")


@pytest.mark.parametrize("how", [{}, {"tls": True}, {"smtps": True}, {"tls": True, "login": ("ada@host", "p:w/@")}], ids=str)
def test_it_arrives_with_both_parts(tmp_path, how):
    with MailServer(tmp_path, **how) as server:
        url = server.url.replace("ada@host:p:w/@@", "ada%40host:p%3Aw%2F%40@")
        assert email.send(LETTER, settings(tmp_path, url), NOW) == sent("250")
        assert server.starttls == [bool(how.get("tls"))]
        assert server.envelopes == [("byok@byok.example", ["ada@example.org"])]
        (letter,) = server.letters
        plain, html = parts(letter)
        assert "1,234,567" in plain and "1,234,567 &#8212;" in html
        assert letter["subject"] == "Figures of Ä"
        assert letter["list-unsubscribe"] == f"<{LETTER.unsubscribe}>"
        assert letter["list-unsubscribe-post"] == "List-Unsubscribe=One-Click"
        assert letter["message-id"] == "<dlv_1@byok.example>"


def test_a_header_cannot_be_added_by_a_value(tmp_path):
    made = email.message(replace(LETTER, subject="x\r\nBcc: eve@example.org\u2028y"), settings(tmp_path, "smtp://h"), NOW)
    assert made["bcc"] is None and made["subject"] == "x Bcc: eve@example.org y"


@pytest.fixture
def outside(monkeypatch):
    """What the name of a mail server elsewhere leads to: here to a server on this machine."""

    def leads_to(server: MailServer) -> str:
        entry = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("198.51.100.7", server.port))
        here = (*entry[:4], ("127.0.0.1", server.port))
        connect = outgoing.first_that_answers
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [entry])
        monkeypatch.setattr(outgoing, "first_that_answers", lambda _, timeout: connect([here], timeout))
        return f"smtp://mail.example:{server.port}"

    return leads_to


def test_without_starttls_nothing_leaves_this_machine(tmp_path, outside):
    with MailServer(tmp_path) as server:
        assert email.send(LETTER, settings(tmp_path, outside(server)), NOW) == later("starttls_missing")
        assert server.letters == []


def test_a_certificate_of_somebody_else_is_refused_outside_of_this_machine(tmp_path, outside):
    with MailServer(tmp_path, tls=True) as server:
        assert email.send(LETTER, settings(tmp_path, outside(server)), NOW) == later("tls_failed")
        assert server.letters == []


def test_what_the_server_says_decides(tmp_path):
    with MailServer(tmp_path) as server:
        server.answers = ["451 busy", "550 no such user"]
        outcomes = [email.send(LETTER, settings(tmp_path, server.url), NOW) for _ in range(3)]
        assert outcomes == [later("451"), refused("550"), sent("250")]
    assert email.send(LETTER, settings(tmp_path, server.url), NOW) == later("unreachable")
    assert email.send(LETTER, Settings(data=tmp_path), NOW) == later("no_mail_server")


def test_a_wrong_password_is_tried_again_later(tmp_path):
    with MailServer(tmp_path, tls=True, login=("ada", "right")) as server:
        assert email.send(LETTER, settings(tmp_path, server.url.replace("right", "wrong")), NOW) == later("sign_in_refused")


GREETING, ANSWER, GOODBYE = "greeting", "answer", "QUIT"


@pytest.mark.parametrize(
    ("step", "said", "outcome"),
    [
        (GOODBYE, b"421 closing\r\n", sent("250")),
        (GOODBYE, b"500 what\r\n", sent("250")),
        (GOODBYE, b"", sent("250")),
        (ANSWER, b"421 closing\r\n", later("421")),
        (ANSWER, b"", later("no_answer")),
        (ANSWER, b"\xff\r\n", later("unreachable")),
        (GREETING, b"554 not from there\r\n", later("554")),
        ("MAIL", b"550 not by you\r\n", later("550")),
        ("RCPT", b"550 nobody\r\n", refused("550")),
    ],
    ids=str,
)
def test_a_mail_that_was_taken_is_not_sent_again_and_only_a_no_to_it_ends_it(tmp_path, step, said, outcome):
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_answer, args=(server, step, said), daemon=True).start()
        url = f"smtp://127.0.0.1:{server.getsockname()[1]}"
        assert email.send(LETTER, settings(tmp_path, url), NOW) == outcome


def _answer(server: socket.socket, step: str, said: bytes) -> None:
    """One conversation that goes well but for one step; nothing said: the line is cut."""
    talk, _ = server.accept()
    with talk, talk.makefile("rwb", buffering=0) as line:

        def tell(what: str, usual: bytes) -> bool:
            line.write(said if what == step else usual)
            return what != step

        if not tell(GREETING, b"220 here\r\n"):
            return
        while verb := line.readline()[:4].decode():
            if verb == "data":
                line.write(b"354 go on\r\n")
                while line.readline() != b".\r\n":
                    pass
                verb = ANSWER
            if not tell(verb.upper() if verb != ANSWER else verb, b"250 SMTPUTF8\r\n") or verb == "quit":
                return


def test_a_server_on_one_of_the_addresses_of_its_name_is_found(tmp_path, monkeypatch):
    with MailServer(tmp_path) as server:
        nobody, somebody = (
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (f"127.0.0.{last}", port)) for last, port in ((1, 1), (1, server.port))
        )
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [nobody, somebody])
        assert email.send(LETTER, settings(tmp_path, "smtp://localhost:25"), NOW) == sent("250")


def test_a_server_that_knows_no_sign_in_is_tried_again_later(tmp_path):
    with MailServer(tmp_path) as server:
        url = server.url.replace("//", "//ada:right@")
        assert email.send(LETTER, settings(tmp_path, url), NOW) == later("sign_in_refused")
