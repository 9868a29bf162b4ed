import base64
import hashlib
import hmac
import json
import time
import zlib
from datetime import timedelta

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from byok import settings as settings_module
from byok.accounts import access_tokens, api_tokens, passwords, sessions, users
from byok.accounts.access_tokens import Grant
from byok.accounts.errors import JwtSecretInvalid
from byok.accounts.identify import identify
from byok.accounts.master_key import subkey
from tests.corpus import corpus

SECRET = b"the secret of this installation!!"
ATTACKER = b"attacker"


def b64(data: bytes | str) -> str:
    return base64.urlsafe_b64encode(data.encode() if isinstance(data, str) else data).rstrip(b"=").decode()


def signed(header: object, claims: object, secret: bytes = SECRET, digest=hashlib.sha256) -> str:
    """A token of any header and claims (or of their raw texts), really signed."""
    parts = [b64(part if isinstance(part, str | bytes) else json.dumps(part)) for part in (header, claims)]
    return ".".join([*parts, b64(hmac.new(secret, ".".join(parts).encode(), digest).digest())])


def verify(token: str, secret: bytes, *, now) -> str | None:
    """Whom a token names, if it is good."""
    claim = api_tokens.read(token, secret, now=now)
    return claim and claim.user_id


HEADER = {"alg": "HS256", "typ": "JWT"}


def base_claims(user_id: str, now) -> dict:
    at = int(now.timestamp())
    return {"sub": user_id, "iss": "byok", "aud": "byok-api", "iat": at, "nbf": at - 1, "exp": at + 300, "jti": "x1"}


# Our own tokens


def test_a_token_names_its_user_for_an_hour(db, ada, now):
    token = api_tokens.issue(ada.id, SECRET, now=now)
    assert verify(token, SECRET, now=now) == ada.id
    assert verify(token, SECRET, now=now + timedelta(seconds=3600)) == ada.id
    assert verify(token, SECRET, now=now + timedelta(seconds=3631)) is None
    assert identify(db, SECRET, token, now=now) == Grant(ada)


def test_its_claims_are_those_of_the_contract(now):
    token = api_tokens.issue("usr_abcd", SECRET, now=now, ttl_s=60)
    claims = jwt.decode(
        token, SECRET, algorithms=["HS256"], audience="byok-api", issuer="byok", options={"verify_exp": False, "verify_iat": False}
    )
    assert {name: claims[name] for name in ("iss", "aud", "sub", "iat", "exp")} == {
        "iss": "byok",
        "aud": "byok-api",
        "sub": "usr_abcd",
        "iat": int(now.timestamp()),
        "exp": int(now.timestamp()) + 60,
    }
    assert jwt.get_unverified_header(token) == HEADER
    assert api_tokens.issue("usr_abcd", SECRET, now=now) != api_tokens.issue("usr_abcd", SECRET, now=now)


@pytest.mark.parametrize("ttl_s", [0, -5, 0.5, 3601, 1e9])
def test_no_token_lives_longer_than_an_hour(now, ttl_s):
    with pytest.raises(ValueError, match="3600"):
        api_tokens.issue("usr_abcd", SECRET, now=now, ttl_s=ttl_s)


def test_a_clock_may_differ_by_half_a_minute(now):
    token = api_tokens.issue("usr_abcd", SECRET, now=now, ttl_s=60)
    for seconds, passes in ((-29, True), (-32, False), (89, True), (91, False)):
        assert (verify(token, SECRET, now=now + timedelta(seconds=seconds)) is not None) == passes


def test_a_token_of_another_installation_is_refused(now):
    assert verify(api_tokens.issue("usr_abcd", bytes(32), now=now), SECRET, now=now) is None


def test_identify_knows_both_kinds_and_lets_in_neither_for_a_disabled_or_erased_user(db, ada, now):
    credentials = [api_tokens.issue(ada.id, SECRET, now=now), access_tokens.create(db, ada.id, now=now)]
    assert [identify(db, SECRET, one, now=now) for one in credentials] == [Grant(ada), Grant(ada)]
    users.change(db, ada.id, disabled=True)
    assert [identify(db, SECRET, one, now=now) for one in credentials] == [None, None]
    users.change(db, ada.id, disabled=False)
    users.remove(db, ada.id, now=now)
    assert [identify(db, SECRET, one, now=now) for one in credentials] == [None, None]


def test_a_changed_password_voids_tokens_to_the_microsecond(db, ada, now):
    passwords.set_password(db, ada.id, "first quiet password", now=now)
    before = api_tokens.issue(ada.id, SECRET, now=now)
    foreign = signed(HEADER, base_claims(ada.id, now))  # no microseconds: taken as the beginning of its second
    assert identify(db, SECRET, before, now=now) == Grant(ada)
    assert identify(db, SECRET, foreign, now=now) == Grant(ada)
    changed = now + timedelta(milliseconds=2)
    passwords.set_password(db, ada.id, "second quiet password", now=changed)
    after = api_tokens.issue(ada.id, SECRET, now=changed)
    assert identify(db, SECRET, before, now=changed) is None
    assert identify(db, SECRET, foreign, now=changed) is None
    assert identify(db, SECRET, after, now=changed) == Grant(ada)


# Strangers' tokens


def attack_tokens(user_id: str, now, db) -> dict[str, str]:
    """Every entry of the recorded attacks, built as it says; those about the header of the request as a face would pass them on."""
    at = int(now.timestamp())

    def claims(**changes: object) -> dict:
        merged = base_claims(user_id, now) | changes
        return {name: value for name, value in merged.items() if value is not ...}

    good = signed(HEADER, claims())
    head, body, sig = good.split(".")
    raw = base64.urlsafe_b64decode(sig + "=")
    twins = [
        c
        for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
        if c != sig[-1] and base64.urlsafe_b64decode(sig[:-1] + c + "=") == raw
    ]
    erased = users.add(db, "gone@example.org", now=now)
    users.remove(db, erased.id, now=now)
    huge_exp = json.dumps(claims(exp=1)).replace('"exp": 1', '"exp": ' + "9" * 100_000)
    inf_exp = json.dumps(claims(exp=1)).replace('"exp": 1', '"exp": 1e400')
    unsigned = f"{b64(json.dumps(HEADER | {'b64': False, 'crit': ['b64']}))}.{json.dumps(claims())}"
    return {
        "control-ok": good,
        "alg-None": f"{b64(json.dumps(HEADER | {'alg': 'None'}))}.{body}.",
        "alg-none-keepsig": f"{b64(json.dumps(HEADER | {'alg': 'none'}))}.{body}.{sig}",
        "alg-null": signed(HEADER | {"alg": None}, claims()),
        "alg-hs384": signed(HEADER | {"alg": "HS384"}, claims(), digest=hashlib.sha384),
        "alg-unknown": signed(HEADER | {"alg": "HS256\0"}, claims()),
        "hs-with-rsa-public": signed(HEADER, claims(), b"-----BEGIN PUBLIC KEY-----\nMFwwDQYJ\n-----END PUBLIC KEY-----\n"),
        "jwk-oct": signed(HEADER | {"jwk": {"kty": "oct", "k": b64(ATTACKER)}}, claims(), ATTACKER),
        "x5c": signed(HEADER | {"alg": "RS256", "x5c": ["MIIB"]}, claims(), ATTACKER),
        "kid-sqli": signed(HEADER | {"kid": "x' UNION SELECT 'attacker' -- "}, claims(), ATTACKER),
        "kid-nul": signed(HEADER | {"kid": "k\0"}, claims(), b""),
        "weak-changeme": signed(HEADER, claims(), b"changeme"),
        "weak-default": signed(HEADER, claims(), b"CHANGE_ME_IN_PRODUCTION"),
        "sig-trunc": f"{head}.{body}.{b64(raw[:8])}",
        "sig-trailing": f"{head}.{body}.{sig[:-1]}{twins[0]}",
        "exp-missing": signed(HEADER, claims(exp=...)),
        "exp-inf": signed(HEADER, inf_exp),
        "exp-bool": signed(HEADER, claims(exp=True)),
        "nbf-future": signed(HEADER, claims(nbf=at + 3600)),
        "aud-missing": signed(HEADER, claims(aud=...)),
        "aud-case": signed(HEADER, claims(aud="BYOK-API")),
        "iss-wrong": signed(HEADER, claims(iss="evil")),
        "iss-list": signed(HEADER, claims(iss=["byok"])),
        "sub-int": signed(HEADER, claims(sub=1)),
        "sub-sql": signed(HEADER, claims(sub=f"{user_id}' OR '1'='1")),
        "sub-deleted": signed(HEADER, claims(sub=erased.id)),
        "sub-zwsp": signed(HEADER, claims(sub=user_id + "\u200b")),
        "sub-case": signed(HEADER, claims(sub=user_id.upper())),
        "dup-alg": b64('{"alg":"HS256","alg":"none"}') + f".{body}.",
        "crit-empty": signed(HEADER | {"crit": []}, claims()),
        "b64-false": f"{unsigned.split('.')[0]}..{b64(hmac.new(SECRET, unsigned.encode(), hashlib.sha256).digest())}",
        "session-as-access": sessions.start(db, user_id, now=now),
        "zip": signed(HEADER | {"zip": "DEF"}, zlib.compress(json.dumps(claims(pad="0" * 5_000_000)).encode())),
        "huge-payload": signed(HEADER, claims(pad="x" * 1_000_000)),
        "big-int": signed(HEADER, huge_exp),
        "form-space": " ",
        "form-two-part": "a.b",
        "form-nul": "a\0.b.c",
        "form-json-null": signed(HEADER, "null"),
        "form-padding": ".".join(part + "=" * (-len(part) % 4) for part in (head, body, sig)),
        "auth-comma": f"{good}, Bearer {good[:-4]}AAAA",
        "auth-tab": f"\t{good}",
        "auth-replay-logout": signed(HEADER, claims(jti="old", iat=at - 900, nbf=at - 900)),
    }


def attack_entries() -> list[dict]:
    return json.loads((corpus("security") / "jwt_attacks.json").read_text())["tokens"]


def test_every_recorded_attack_is_answered_as_expected(db, ada, now):
    with_password = now - timedelta(seconds=600)
    for password in ("first quiet password", "second quiet password"):
        passwords.set_password(db, ada.id, password, now=with_password)
    tokens = attack_tokens(ada.id, now, db) | {"link": passwords.set_link(db, ada.id, now=now)}
    entries = [
        entry for entry in attack_entries() if entry["id"] != "auth-noscheme"
    ]  # a good token: its missing scheme is for the face to refuse
    assert len(entries) == 43
    wrong = {}
    for entry in [*entries, entries[0]]:  # the control first and last
        began = time.thread_time()
        answer = 200 if identify(db, SECRET, tokens[entry["id"]], now=now) == Grant(ada) else 401
        took = time.thread_time() - began
        if str(answer) not in str(entry["expect"]).split("|") or took > 0.05:
            wrong[entry["id"]] = (answer, took)
    assert wrong == {}
    assert identify(db, SECRET, tokens["link"], now=now) is None


MORE = {
    "typ of another kind": (HEADER | {"typ": "reset+jwt"}, {}),
    "typ null": (HEADER | {"typ": None}, {}),
    "jku": (HEADER | {"jku": "https://evil.example/keys"}, {}),
    "two hours": (HEADER, {"exp": 7200}),
    "exp before iat": (HEADER, {"exp": -1}),
    "exp a float": (HEADER, {"exp": 300.5}),
    "exp a text": (HEADER, {"exp": "300"}),
    "exp null": (HEADER, {"exp": None}),
    "iat a bool": (HEADER, {"iat": True}),
    "iat in the future": (HEADER, {"iat": 100, "exp": 300}),
    "no iat": (HEADER, {"iat": ...}),
    "nbf a text": (HEADER, {"nbf": "0"}),
    "no sub": (HEADER, {"sub": ...}),
    "sub *": (HEADER, {"sub": "*"}),
    "sub ../bob": (HEADER, {"sub": "../bob"}),
    "sub null": (HEADER, {"sub": None}),
    "no iss": (HEADER, {"iss": ...}),
    "aud a list": (HEADER, {"aud": ["byok-api"]}),
    "aud another": (HEADER, {"aud": "byok-web"}),
    "part of a second too long": (HEADER, {"iat_us": 1_000_000}),
    "part of a second a bool": (HEADER, {"iat_us": True}),
    "part of a second negative": (HEADER, {"iat_us": -1}),
}


@pytest.mark.parametrize("name", MORE)
def test_more_tokens_that_are_signed_and_still_wrong(name, now):
    header, changes = MORE[name]
    at = int(now.timestamp())
    claims = base_claims("usr_abcd", now)
    for key, value in changes.items():
        moved = type(value) in (int, float) and key in ("exp", "iat")
        claims[key] = at + value if moved else value
    token = signed(header, {key: value for key, value in claims.items() if value is not ...})
    assert verify(token, SECRET, now=now) is None
    assert verify(signed(HEADER, base_claims("usr_abcd", now)), SECRET, now=now) == "usr_abcd"


def test_deep_nesting_and_long_numbers_raise_nothing(now):
    for text in ("[" * 5900, '{"a":' * 1100, '{"exp": ' + "9" * 5000 + "}", '{"exp": -1e999}', '"\\ud800"', "NaN", "", "[]", "0"):
        assert verify(signed(HEADER, text), SECRET, now=now) is None
        assert verify(signed(text, base_claims("usr_abcd", now)), SECRET, now=now) is None


@given(text=st.text())
def test_no_text_raises_or_passes(text):
    from datetime import UTC, datetime

    assert verify(text, SECRET, now=datetime(2026, 11, 22, tzinfo=UTC)) is None


@given(data=st.data())
def test_no_changed_character_passes(data):
    from datetime import UTC, datetime

    now = datetime(2026, 11, 22, tzinfo=UTC)
    token = signed(HEADER, base_claims("usr_abcd", now))
    place = data.draw(st.integers(0, len(token) - 1))
    changed = token[:place] + data.draw(st.characters()) + token[place + 1 :]
    assert (verify(changed, SECRET, now=now) is not None) == (changed == token)


@given(
    claims=st.dictionaries(
        st.sampled_from(["sub", "iss", "aud", "iat", "exp", "nbf", "jti", "iat_us"]),
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.text()),
    )
)
def test_only_whole_claims_pass_however_well_signed(claims):
    from datetime import UTC, datetime

    now = datetime(2026, 11, 22, tzinfo=UTC)
    mixed = base_claims("usr_abcd", now) | claims
    passes = verify(signed(HEADER, mixed), SECRET, now=now) is not None
    at = int(now.timestamp())
    times = [mixed["iat"], mixed["exp"], mixed["nbf"]]
    assert not passes or all(type(value) is int for value in times)
    assert not passes or (mixed["iss"], mixed["aud"]) == ("byok", "byok-api")
    assert not passes or (0 < mixed["exp"] - mixed["iat"] <= 3600 and at - 30 < mixed["exp"])


# The secret


def configured(tmp_path, text: bytes):
    file = tmp_path / "jwt.secret"
    file.write_bytes(text)
    return settings_module.load({"BYOK_DATA": str(tmp_path / "data"), "BYOK_JWT_SECRET_FILE": str(file)})


def test_the_secret_is_the_stripped_text_of_the_file_or_derived(tmp_path, master):
    assert (
        api_tokens.jwt_secret(configured(tmp_path, b"  a secret of thirty-three bytes!!\n"), master) == b"a secret of thirty-three bytes!!"
    )
    plain = settings_module.load({"BYOK_DATA": str(tmp_path)})
    assert api_tokens.jwt_secret(plain, master) == subkey(master, "jwt")


def test_a_weak_or_shared_secret_is_refused(tmp_path, master):
    for text in (b"", b"changeme", b"x" * 31, b"x" * 64, master, base64.b64encode(master) + b"\n"):
        with pytest.raises(JwtSecretInvalid):
            api_tokens.jwt_secret(configured(tmp_path, text), master)
    missing = settings_module.load({"BYOK_DATA": str(tmp_path), "BYOK_JWT_SECRET_FILE": str(tmp_path / "nowhere")})
    with pytest.raises(JwtSecretInvalid, match="No such file"):
        api_tokens.jwt_secret(missing, master)
