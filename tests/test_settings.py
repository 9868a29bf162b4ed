"""Settings: where they come from, what stops the start, and that every fault is reported at once, by name."""

from pathlib import Path

import pytest

from byok.errors import SettingsInvalid
from byok.settings import load, unknown_names


def faults(environ: dict[str, str], **more: object) -> list[str]:
    with pytest.raises(SettingsInvalid) as caught:
        load(environ, **more)
    return caught.value.faults


@pytest.fixture(autouse=True)
def _nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def toml(text: str) -> Path:
    path = Path("byok.toml")
    path.write_text(text)
    return path


def test_without_anything_the_defaults_hold(tmp_path):
    settings = load({})
    assert (settings.gateway_port, settings.web_port, settings.host, settings.fsync) == (8080, 8501, "127.0.0.1", "batch")
    assert settings.data == tmp_path / "data"
    assert settings.accounts_database == f"sqlite:///{tmp_path}/data/accounts.db"
    assert settings.usage_dir == tmp_path / "data" / "usage"


def test_environment_wins_over_the_file_and_what_is_said_over_both(tmp_path):
    toml('gateway_port = 1111\nbyok_web_port = 2222\nmax_body_mb = 3\ndata = "from-file"\n')
    settings = load({"BYOK_GATEWAY_PORT": "3333", "BYOK_DATA": "from-environment"}, data=Path("said"))
    assert (settings.gateway_port, settings.web_port, settings.max_body_mb) == (3333, 2222, 3)
    assert settings.data == tmp_path / "said"


def test_several_entries_may_be_an_array_in_the_file():
    toml('slack_hosts = ["hooks.slack.com", "https://chat.example.org:8443"]\nbyok_oidc_scopes = ["openid", "email"]\n')
    settings = load({})
    assert settings.webhook_hosts == ("hooks.slack.com", "https://chat.example.org:8443")
    assert settings.oidc_scopes == "openid email"
    toml("slack_hosts = [7]")
    assert faults({}) == ["BYOK_SLACK_HOSTS: Input should be a valid string"]


def test_an_empty_variable_counts_as_not_set():
    assert load({"BYOK_GATEWAY_PORT": ""}).gateway_port == 8080


def test_every_fault_is_reported_at_once_by_name():
    found = faults(
        {
            "BYOK_GATEWAY_PORT": "70000",
            "BYOK_WEB_PORT": "web",
            "BYOK_FSYNC": "never",
            "BYOK_PUBLIC_URL": "byok.example.org",
            "BYOK_MAX_BODY_MB": "0",
            "BYOK_OPENAI_BASE_URL": "ftp://x",
        }
    )
    assert [
        name
        for name in ("GATEWAY_PORT", "WEB_PORT", "FSYNC", "PUBLIC_URL", "MAX_BODY_MB", "OPENAI_BASE_URL")
        if not any(name in f for f in found)
    ] == []
    assert len(found) == 6


@pytest.mark.parametrize(("host", "reached"), [("::", "[::1]"), ("0.0.0.0", "127.0.0.1"), ("fd00::7", "[fd00::7]"), ("gw", "gw")])
def test_a_listening_address_becomes_one_that_can_be_opened(host: str, reached: str):
    settings = load({"BYOK_HOST": host})
    assert (settings.gateway_here, settings.programs_url) == (f"http://{reached}:8080",) * 2
    assert (settings.web_here, settings.dashboard_url) == (f"http://{reached}:8501",) * 2


def test_what_people_are_shown_is_the_public_address():
    settings = load({"BYOK_PUBLIC_URL": "https://byok.test/", "BYOK_PUBLIC_GATEWAY_URL": "https://gateway.test/"})
    assert (settings.dashboard_url, settings.programs_url) == ("https://byok.test", "https://gateway.test")
    assert (settings.web_here, settings.gateway_here) == ("http://127.0.0.1:8501", "http://127.0.0.1:8080")
    assert "BYOK_PUBLIC_GATEWAY_URL" in faults({"BYOK_PUBLIC_GATEWAY_URL": "gateway.test"})[0]


def test_words_may_be_written_large():
    settings = load({"BYOK_ENGINE": "DuckDB", "BYOK_FSYNC": "Always", "BYOK_LOG_LEVEL": "INFO"})
    assert (settings.engine, settings.fsync, settings.log_level) == ("duckdb", "always", "info")


def test_a_fault_never_repeats_the_value():
    assert "hunter2" not in str(faults({"BYOK_WEB_PORT": "hunter2", "BYOK_ENGINE": "hunter2"}))


def test_the_two_ports_must_differ():
    assert faults({"BYOK_GATEWAY_PORT": "9000", "BYOK_WEB_PORT": "9000"}) == ["BYOK_GATEWAY_PORT and BYOK_WEB_PORT must differ"]


def test_a_file_with_the_mark_of_a_windows_editor_is_read():
    Path("byok.toml").write_bytes(b"\xef\xbb\xbfgateway_port = 1111\r\n")
    assert load({}).gateway_port == 1111


def test_the_master_key_must_lie_outside_the_data():
    assert "BYOK_MASTER_KEY_FILE" in faults({"BYOK_DATA": "/srv/byok", "BYOK_MASTER_KEY_FILE": "/srv/byok/keys/../master.key"})[0]


def test_the_master_key_must_lie_outside_the_data_also_behind_a_link(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    (data / "inside.key").touch()
    (tmp_path / "link.key").symlink_to(data / "inside.key")
    (tmp_path / "linked").symlink_to(data)
    for directory, key in ((data, tmp_path / "link.key"), (data, tmp_path / "linked/new.key"), (tmp_path / "linked", data / "inside.key")):
        assert "must lie outside" in faults({"BYOK_DATA": str(directory), "BYOK_MASTER_KEY_FILE": str(key)})[0]


def test_a_setting_that_is_none_stops_the_start_in_the_file_and_is_named_in_the_environment():
    toml("gateway_prot = 1\n")
    assert faults({}) == ["byok.toml: gateway_prot is no setting; did you mean gateway_port?"]
    assert unknown_names({"BYOK_GATEWAY_PROT": "1", "BYOK_DATA": "x", "BYOK_OPENAI_BASE_URL": "x", "HOME": "x"}) == [
        "BYOK_GATEWAY_PROT is no setting; did you mean BYOK_GATEWAY_PORT?"
    ]


def test_a_file_that_is_not_toml_is_a_fault():
    toml("gateway_port = ")
    assert "is not TOML" in faults({})[0]


def test_base_urls_come_from_environment_and_file():
    toml('groq_base_url = "http://127.0.0.1:1/v1"\nopenai_base_url = "http://127.0.0.1:2/v1"\n')
    settings = load({"BYOK_OPENAI_BASE_URL": "http://127.0.0.1:3/v1"})
    assert settings.vendor_base_urls == {"groq": "http://127.0.0.1:1/v1", "openai": "http://127.0.0.1:3/v1"}


@pytest.mark.parametrize("url", ["http://", "//x", "https://user:pass@host/v1", "https://host/v1?key=1", "javascript:alert(1)"])
def test_a_base_url_must_be_a_plain_address(url):
    assert len(faults({"BYOK_OPENAI_BASE_URL": url})) == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("WEB_URL", "web:8501"),
        ("WEB_URL", "http://web:8501/usage"),
        ("TRUSTED_PROXIES", "10.1.2.3/16"),
        ("TRUSTED_PROXIES", "10.1.0.0/16 proxy"),
    ],
)
def test_web_elsewhere_and_proxies_are_plain_addresses(name: str, value: str):
    assert f"BYOK_{name}" in faults({f"BYOK_{name}": value})[0]
    assert load({"BYOK_WEB_URL": "http://web:8501/", "BYOK_TRUSTED_PROXIES": " 10.1.2.3, fd00::/8 "}).proxies == ("10.1.2.3", "fd00::/8")


def test_vendors_of_the_operator():
    toml('[vendors.lab]\nbase_url = "http://10.0.0.7:8000/v1"\nstream_usage = true\n')
    lab = load({}).vendors["lab"]
    assert (lab.base_url, lab.stream_usage, lab.leave) == ("http://10.0.0.7:8000/v1", True, "cancel")


@pytest.mark.parametrize(
    ("entry", "named"),
    [
        ("[vendors.lab]", "vendors.lab.base_url"),
        ('[vendors.lab]\nbase_url = "nowhere"', "vendors.lab.base_url"),
        ('[vendors.lab]\nbase_url = "http://10.0.0.7:99999/v1"', "vendors.lab.base_url"),
        ('[vendors.lab]\nbase_url = "http://[::1/v1"', "vendors.lab.base_url"),
        ('[vendors.lab]\nbase_url = "https://user:secret@host/v1"', "vendors.lab.base_url"),
        ('[vendors.Lab]\nbase_url = "http://10.0.0.7/v1"', "'Lab'"),
        ('[vendors.usage]\nbase_url = "http://10.0.0.7/v1"', "'usage'"),
        ('[vendors.models]\nbase_url = "http://10.0.0.7/v1"', "'models'"),
        ('[vendors.docs]\nbase_url = "http://10.0.0.7/v1"', "'docs'"),
        ('[vendors.lab]\nbase_url = "http://10.0.0.7/v1"\ncolour = "red"', "vendors.lab.colour"),
        ('[vendors.lab]\nbase_url = "http://10.0.0.7/v1"\nleave = "wait"', "vendors.lab.leave"),
        ('[vendors.lab]\nbase_url = "http://10.0.0.7/v1"\nformat = "other"', "vendors.lab.format"),
        ('[vendors.lab]\nbase_url = "http://10.0.0.7/v1"\nstream_usage = "maybe"', "vendors.lab.stream_usage"),
        ('[vendors]\nlab = "http://10.0.0.7/v1"', "vendors.lab"),
    ],
)
def test_a_wrong_vendor_of_the_operator_is_named(entry: str, named: str):
    toml(entry + "\n")
    [fault] = faults({})
    assert named in fault
    assert "secret" not in fault


def test_secrets_do_not_show_in_a_settings_object():
    assert "hunter2" not in repr(load({"BYOK_SMTP_URL": "smtps://user:hunter2@host:465", "BYOK_MASTER_KEY": "hunter2"}))


def test_settings_cannot_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        load({}).gateway_port = 1


SIGN_ON = {"BYOK_OIDC_ISSUER": "https://accounts.example", "BYOK_OIDC_CLIENT_ID": "byok"}


def test_a_sign_in_service():
    settings = load(SIGN_ON | {"BYOK_OIDC_JOIN": "Anyone", "BYOK_OIDC_SCOPES": " openid   email ", "BYOK_OIDC_LABEL": " Acme "})
    assert (settings.oidc_join, settings.oidc_scopes, settings.oidc_label) == ("anyone", "openid email", "Acme")
    assert load({}).oidc_join == "invited"
    for issuer in ("http://127.0.0.1:9", "http://localhost:9/realms/a", "http://[::1]:9"):
        assert load(SIGN_ON | {"BYOK_OIDC_ISSUER": issuer}).oidc_issuer == issuer


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ISSUER", "http://accounts.example"),
        ("ISSUER", "http://127.0.0.1.evil.example"),
        ("ISSUER", "https://accounts.example/?a=b"),
        ("ISSUER", "accounts.example"),
        ("SCOPES", "email"),
        ("LABEL", " "),
        ("LABEL", "x" * 41),
        ("LABEL", "a\nb"),
        ("JOIN", "everyone"),
        ("PLAN", "gold"),
    ],
)
def test_a_sign_in_service_that_makes_no_sense_is_named(name, value):
    [fault] = faults(SIGN_ON | {f"BYOK_OIDC_{name}": value})
    assert f"BYOK_OIDC_{name}" in fault


def test_issuer_and_client_belong_together():
    for name in SIGN_ON:
        [fault] = faults({name: SIGN_ON[name]})
        assert "belong together" in fault
    assert unknown_names({"BYOK_OIDC_ISUER": "x"}) == ["BYOK_OIDC_ISUER is no setting; did you mean BYOK_OIDC_ISSUER?"]


@pytest.mark.parametrize("name", ["web_port", "gateway_workers", "publish_every_s", "upstream_timeout_s", "max_body_mb"])
def test_true_is_no_number(name: str):
    toml(f"{name} = true")
    assert faults({}) == [f"BYOK_{name.upper()}: must be a number, not true or false"]


@pytest.mark.parametrize(
    "text", ['data = ""', 'master_key_file = ""', 'master_key_file = "~nobody-here/key"', 'accounts_url = "sqlite:///"']
)
def test_a_path_that_leads_nowhere_is_a_fault(text: str):
    toml(text)
    [fault] = faults({})
    assert fault.startswith(f"BYOK_{text.split()[0].upper()}: ")


def test_a_setting_that_is_said_twice_is_a_fault():
    toml("web_port = 1111\nbyok_web_port = 2222\n")
    assert faults({}) == ["byok.toml: byok_web_port says again what web_port says; leave one of them out"]


@pytest.mark.parametrize("value", ["http://*", "http://a b", "https://*.example.org", "http://."])
def test_a_pattern_is_no_origin(value: str):
    assert "must list hosts" in faults({"BYOK_SLACK_HOSTS": value})[0]


@pytest.mark.parametrize("value", ["", "127.0.0.1:8080", "http://127.0.0.1", "[::1]"])
def test_a_listening_address_stands_alone(value: str):
    toml(f'host = "{value}"')
    assert "BYOK_HOST: must be an address" in faults({})[0]


def test_domains_have_commas_between():
    assert "BYOK_OIDC_DOMAINS: must list domains" in faults({"BYOK_OIDC_DOMAINS": "example.org example.net"})[0]
    assert load({"BYOK_OIDC_DOMAINS": "example.org, bücher.example"}).oidc_domains == "example.org, bücher.example"


def test_an_empty_variable_replaces_no_address():
    assert load({"BYOK_OPENAI_BASE_URL": ""}).vendor_base_urls == {}


def test_variables_that_do_nothing_are_named():
    environ = {"byok_web_port": "1", "BYOK_openai_BASE_URL": "http://x", "BYOK_VENDORS": "lab"}
    assert unknown_names(environ) == [
        "BYOK_VENDORS is no setting",
        "BYOK_openai_BASE_URL is no setting; did you mean BYOK_OPENAI_BASE_URL?",
        "byok_web_port is no setting; did you mean BYOK_WEB_PORT?",
    ]


def test_a_setting_below_a_vendor_is_told_where_it_belongs():
    toml('[vendors.lab]\nbase_url = "http://10.0.0.7/v1"\nweb_port = 9000\n')
    [fault] = faults({})
    assert fault.startswith("vendors.lab.web_port: a vendor has no such entry")
    assert "go above it" in fault


def test_no_vendor_of_ones_own_is_called_echo():
    toml('[vendors.echo]\nbase_url = "http://10.0.0.7/v1"\n')
    [fault] = faults({})
    assert "cannot be called 'echo'" in fault
