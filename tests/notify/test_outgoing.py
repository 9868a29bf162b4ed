"""Where a webhook may lead: nowhere but to listed hosts, at the address that was checked."""

import ipaddress
import socket
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from byok.notify import outgoing
from byok.notify.outcome import later, of_status, refused, sent
from byok.notify.outgoing import WebhookNotAllowed, allowed, may_reach, post
from tests.notify.receivers import Receiver

SLACK = ["hooks.slack.com"]


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.slack.com/services/x",
        "https://hooks.slack.com:8443/services/x",
        "https://hooks.slack.com.evil.example/x",
        "https://evil.example/?hooks.slack.com",
        "https://hooks.slack.com@evil.example/x",
        "https://user:pass@hooks.slack.com/x",
        "https://hooks.slack.com\\@evil.example/x",
        "https://hooks.slack.com/x#fragment",
        "https://hooks.slack.com/a b",
        "https://hooks.slack.com/x\r\nhost: evil.example",
        "https://hooks.slack.com:99999/x",
        "https://hооks.slack.com/x",  # two Cyrillic letters
        "https://127.0.0.1/x",
        "https://[::1]/x",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "//hooks.slack.com/x",
        "hooks.slack.com/x",
        "",
        "https://hooks.slack.com/" + "x" * 2000,
    ],
)
def test_an_address_that_is_not_listed_is_refused_and_not_repeated(url):
    with pytest.raises(WebhookNotAllowed) as caught:
        allowed(url, SLACK)
    assert "services/x" not in str(caught.value)


def test_a_listed_host_means_https_on_443_and_an_origin_means_itself():
    place = allowed("https://HOOKS.slack.com/services/T0?x=1", SLACK)
    assert (place.host, place.port, place.target, place.named) == ("hooks.slack.com", 443, "/services/T0?x=1", False)
    own = allowed("http://127.0.0.1:9009/hook", ["hooks.slack.com", "http://127.0.0.1:9009"])
    assert (own.port, own.named) == (9009, True)
    for other in ("http://127.0.0.1:9010/hook", "https://127.0.0.1:9009/hook", "http://127.0.0.1/hook"):
        with pytest.raises(WebhookNotAllowed):
            allowed(other, ["http://127.0.0.1:9009"])


@pytest.mark.parametrize(
    ("address", "public", "named"),
    [
        ("140.82.112.3", True, True),
        ("2606:50c0:8000::153", True, True),
        ("127.0.0.1", False, True),
        ("10.0.0.7", False, True),
        ("192.168.1.1", False, True),
        ("100.64.0.1", False, True),
        ("::1", False, False),  # reserved: an operator writes 127.0.0.1
        ("fd00::1", False, True),
        ("169.254.169.254", False, False),
        ("fe80::1", False, False),
        ("0.0.0.0", False, False),
        ("224.0.0.1", False, False),
        ("::ffff:10.0.0.7", False, True),
        ("::ffff:169.254.169.254", False, False),
        ("64:ff9b::a9fe:a9fe", False, False),
        ("64:ff9b::7f00:1", False, True),
        ("2002:7f00:1::", False, True),
    ],
)
def test_what_may_be_connected(address, public, named):
    found = ipaddress.ip_address(address)
    assert (may_reach(found, named=False), may_reach(found, named=True)) == (public, named)


def test_a_listed_name_that_leads_inside_is_not_connected(monkeypatch):
    asked = []

    def lookup(host, port, **_):
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, port)) for ip in ("127.0.0.1", "10.1.2.3", "169.254.169.254")]

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    monkeypatch.setattr(outgoing, "first_that_answers", lambda *_: pytest.fail("connected"))
    assert post("https://hooks.slack.com/services/x", b"{}", {}, hosts=SLACK) == later("address_refused")
    assert asked == ["hooks.slack.com"], "looked up once"


def test_redirects_are_not_followed():
    with Receiver() as inside, Receiver(lambda post, number: (307, {"location": inside.url})) as outside:
        assert post(outside.url, b"{}", {}, hosts=[outside.origin, inside.origin]) == refused("307")
        assert (len(outside.posts), inside.posts) == (1, [])


def test_what_arrives_is_what_was_sent():
    with Receiver() as found:
        assert post(f"{found.url}?a=b", b'{"text": "x"}', {"content-type": "application/json"}, hosts=[found.origin]).sent
        (seen,) = found.posts
        assert (seen.path, seen.body) == ("/services/T000/B000/secretpath1234?a=b", b'{"text": "x"}')
        assert seen.headers["host"] == found.origin.removeprefix("http://")
        assert not set(seen.headers) & {"cookie", "authorization"}


@pytest.mark.parametrize(("status", "outcome"), [("200 OK", sent("200")), ("503 Busy", later("503"))])
def test_what_is_announced_before_an_answer_is_no_answer(status, outcome):
    hints = "HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n"
    with socket.create_server(("127.0.0.1", 0)) as listening, ThreadPoolExecutor(1) as pool:
        origin = f"http://127.0.0.1:{listening.getsockname()[1]}"
        sending = pool.submit(post, f"{origin}/x", b"{}", {}, hosts=[origin])
        with listening.accept()[0] as receiver:
            receiver.recv(65536)
            receiver.sendall((hints * 2 + f"HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").encode())
            assert sending.result() == outcome


def test_an_answer_without_end_is_given_up(monkeypatch):
    monkeypatch.setattr(outgoing, "TOTAL_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as server:
        origin = f"http://127.0.0.1:{server.getsockname()[1]}"
        assert post(f"{origin}/x", b"{}", {}, hosts=[origin]) == later("timeout")
    assert post(f"{origin}/x", b"{}", {}, hosts=[origin]) == later("unreachable")
    assert post(f"{origin}/x", b"{}", {}, hosts=SLACK) == refused("host_not_allowed")


NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)


def test_which_answers_end_it():
    statuses = (200, 204, 301, 400, 403, 404, 410, 429, 500, 503)
    assert [of_status(status, now=NOON).final for status in statuses] == [True] * 7 + [False] * 3


@pytest.mark.parametrize(
    ("said", "wait_s"),
    [
        (None, None),
        ("30", 30),
        (" 30 ", 30),
        ("9" * 400, 3600),
        ("Fri, 27 Nov 2026 12:02:00 GMT", 120),
        ("Friday, 27-Nov-26 12:02:00 GMT", 120),
        ("Fri Nov 27 12:02:00 2026", 120),
        ("Fri, 27 Nov 2026 13:02:00 +0100", 120),
        ("Wed, 21 Oct 2026 07:28:00 GMT", 0),
        ("Sun, 27 Nov 2033 12:02:00 GMT", 3600),
        ("-5", None),
        ("soon", None),
        ("1.5", None),
        ("٣", None),
        ("Fri, 99 Nov 2026 12:02:00 GMT", None),
        ("Fri, 27 Nov 99999999999 12:02:00 GMT", None),
        ("Fri, 27 Nov 2026 12:02:00 +99999999999", None),
    ],
)
def test_how_long_a_receiver_asks_to_wait(said, wait_s):
    assert (of_status(429, said, now=NOON).wait_s, of_status(503, said, now=NOON).wait_s) == (wait_s, wait_s)


@pytest.mark.parametrize("fast_s", [0, 7200, -7200])
def test_a_moment_to_wait_for_is_one_of_the_receivers_clock(fast_s):
    def script(post, number):
        theirs = datetime.now(UTC) + timedelta(seconds=fast_s)
        said = {"date": theirs, "retry-after": theirs + timedelta(seconds=90)}
        return 429, {name: format_datetime(at, usegmt=True) for name, at in said.items()}

    with Receiver(script) as found:
        assert post(found.url, b"{}", {}, hosts=[found.origin]) == later("429", 90.0)
