"""The examples in deploy/ are whole: they parse, name metrics, settings, commands and files that exist, and linters have nothing to say."""

import json
import re
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

from byok.cli import cli
from byok.settings import Settings

ROOT = Path(__file__).resolve().parents[1]
DEPLOY = ROOT / "deploy"
TEXTS = sorted(path for path in DEPLOY.rglob("*") if path.is_file())
NAMES_OF_OTHER_THINGS = {"byok_connection", "byok_gateway", "byok_web"}


def metrics() -> set[str]:
    described = set(re.findall(r"^\| `(byok_\w+)`", (ROOT / "docs" / "operations.md").read_text(), re.M))
    return described | {f"{name}{end}" for name in described if name.endswith("_seconds") for end in ("_bucket", "_count", "_sum")}


def documents(path: Path) -> list[dict[str, Any]]:
    return [one for one in yaml.safe_load_all(path.read_text()) if one]


@pytest.mark.parametrize("path", [path for path in TEXTS if path.suffix in (".yaml", ".json")], ids=lambda path: path.name)
def test_it_parses(path):
    assert json.loads(path.read_text()) if path.suffix == ".json" else documents(path)


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_every_setting_and_metric_it_names_exists(path):
    text = path.read_text()
    known = {f"BYOK_{name.upper()}" for name in Settings.model_fields}
    assert set(re.findall(r"\bBYOK_[A-Z_]+[A-Z]\b", text)) - known == set()
    assert set(re.findall(r"\bbyok_[a-z_]+\b", text)) - metrics() <= NAMES_OF_OTHER_THINGS


def test_every_metric_that_tells_of_a_fault_has_an_alert():
    alerts = (DEPLOY / "prometheus" / "alerts.yaml").read_text()
    for name in ("records_lost_total", "journal_bytes", "store_reachable", "quarantined_files", "journal_sync_errors_total"):
        assert f"byok_{name}" in alerts


def test_every_alert_says_what_is_wrong_and_how_bad_it_is():
    rules = documents(DEPLOY / "prometheus" / "alerts.yaml")[0]["groups"][0]["rules"]
    assert len(rules) > 5
    for rule in rules:
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert rule["annotations"]["summary"]
        assert rule["expr"].count("(") == rule["expr"].count(")")


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed (apt-get install prometheus)")
def test_prometheus_takes_the_rules():
    done = subprocess.run(["promtool", "check", "rules", str(DEPLOY / "prometheus" / "alerts.yaml")], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed (apt-get install prometheus)")
def test_a_keeper_that_is_gone_is_noticed_however_little_there_is_to_publish(tmp_path):
    series = {"dead": "0+9000x60", "alive": "3000 90000 " * 30, "idle": "4000x60"}
    given = [{"series": f'byok_journal_bytes{{instance="{name}"}}', "values": values.strip()} for name, values in series.items()]
    labels = {"severity": "ticket", "instance": "dead"}
    said = "Nothing was published on dead for a quarter of an hour: does its keeper run?"
    expected = [{"exp_labels": labels, "exp_annotations": {"summary": said}}]
    asked = [{"eval_time": "50m", "alertname": "ByokNotPublished", "exp_alerts": expected}]
    test = {"rule_files": [str(DEPLOY / "prometheus" / "alerts.yaml")], "evaluation_interval": "1m"}
    test |= {"tests": [{"interval": "1m", "input_series": given, "alert_rule_test": asked}]}
    (tmp_path / "test.yaml").write_text(yaml.safe_dump(test))
    done = subprocess.run(["promtool", "test", "rules", str(tmp_path / "test.yaml")], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed")
def test_nginx_takes_the_configuration(tmp_path):
    text = (DEPLOY / "nginx" / "byok.conf").read_text()
    text = text.replace("/etc/nginx/tls", str(tmp_path)).replace("/var/log/nginx", str(tmp_path))
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=localhost"]
    files = ["-keyout", str(tmp_path / "byok.key"), "-out", str(tmp_path / "byok.crt")]
    subprocess.run([*command, *files], check=True, capture_output=True)
    whole = f"pid {tmp_path}/pid; error_log {tmp_path}/error.log; events {{}} http {{ client_body_temp_path {tmp_path}/body; {text} }}"
    (tmp_path / "nginx.conf").write_text(whole)
    done = subprocess.run(["nginx", "-t", "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_stream_and_a_body_are_neither_held_back_nor_laid_on_disk_by_the_proxy():
    gateway = (DEPLOY / "nginx" / "byok.conf").read_text().split("server {")[2]
    for words in (
        "proxy_buffering off",
        "proxy_request_buffering off",
        "proxy_max_temp_file_size 0",
        "gzip off",
        "proxy_next_upstream off",
    ):
        assert words in gateway
    assert "$request_uri" not in re.findall(r"log_format.*", (DEPLOY / "nginx" / "byok.conf").read_text())[0]


def test_the_proxy_s_log_of_calls_says_neither_who_nor_what():
    text = (DEPLOY / "nginx" / "byok.conf").read_text()
    (used,) = re.findall(r"access_log \S+ (\w+);", text.split("server {")[2])
    (form,) = re.findall(rf"log_format {used} (.*);", text)
    assert set(re.findall(r"\$\w+", form)) == {"$time_iso8601", "$request_method", "$status", "$body_bytes_sent", "$request_time"}


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_takes_the_units(tmp_path):
    """A program that is not on this machine is its one excuse."""
    for path in (DEPLOY / "systemd").iterdir():
        text = path.read_text().replace("/opt/byok/.venv/bin/python", "/bin/true").replace("User=byok\nGroup=byok\n", "")
        (tmp_path / path.name).write_text(text)
    units = [str(path) for path in sorted(tmp_path.iterdir())]
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", *units], capture_output=True, text=True)
    complaints = [line for line in done.stderr.splitlines() if "byok" in line]
    assert complaints == []


@pytest.mark.parametrize("path", sorted((DEPLOY / "systemd").glob("*.service")), ids=lambda path: path.name)
def test_a_unit_starts_a_process_that_there_is(path):
    command = re.search(r"^ExecStart=\S+ -m byok (\w+)$", path.read_text(), re.M)
    assert command
    assert command[1] in cli.commands
    assert "BYOK_MASTER_KEY_FILE=%d/master.key" in path.read_text()


def test_containers_start_processes_that_there_are():
    services = documents(DEPLOY / "compose" / "compose.yaml")[0]["services"]
    assert {name for name, one in services.items() if one["image"] == "byok"} == {"gateway", "web", "keeper"}
    for name, one in services.items():
        if one["image"] == "byok":
            assert one["command"] == [name]
            assert one["read_only"]
    manifests = [one for path in (DEPLOY / "kubernetes").glob("*.yaml") for one in documents(path)]
    pods = [one["spec"]["template"]["spec"] for one in manifests if one["kind"] in ("StatefulSet", "Deployment")]
    containers = [container for pod in pods for container in pod["containers"]]
    assert {container["command"][-1] for container in containers} == {"gateway", "keeper", "web"} <= set(cli.commands)
    for pod in pods:
        volumes = {volume["name"] for volume in pod["volumes"]} | {"data"}
        for container in [*pod["containers"], *pod["initContainers"]]:
            assert {mount["name"] for mount in container["volumeMounts"]} <= volumes
            assert container["securityContext"]["readOnlyRootFilesystem"]


@pytest.mark.skipif(find_spec("compose_spec") is None, reason="compose-spec is not installed (make test-scale)")
@pytest.mark.parametrize("names", [("compose.yaml",), ("compose.yaml", "compose.scale.yaml")], ids=len)
def test_compose_files_are_what_the_specification_says(names):
    from compose_spec import PyCompose

    whole: dict[str, Any] = {}
    for name in names:
        (one,) = documents(DEPLOY / "compose" / name)
        for part, found in one.items():
            whole[part] = {**whole.get(part, {}), **found} if isinstance(found, dict) else found
    whole["services"] = {
        name: {key: value for path in names for key, value in documents(DEPLOY / "compose" / path)[0]["services"].get(name, {}).items()}
        for name in whole["services"]
    }
    PyCompose.from_json(json.dumps(whole)).validate()


@pytest.mark.skipif(find_spec("kubernetes_validate") is None, reason="kubernetes-validate is not installed (make test-scale)")
@pytest.mark.parametrize("version", ["1.29", "1.37"])
def test_manifests_are_what_kubernetes_says(version):
    import kubernetes_validate

    checked = 0
    for path in (DEPLOY / "kubernetes").glob("[!k]*.yaml"):
        for one in documents(path):
            kubernetes_validate.validate(one, version, strict=True)
            checked += 1
    assert checked >= 9


def test_kubernetes_hosts_and_replicas_agree():
    manifests = {
        (one["kind"], one["metadata"]["name"]): one for path in (DEPLOY / "kubernetes").glob("[!k]*.yaml") for one in documents(path)
    }
    settings = manifests["ConfigMap", "byok"]["data"]
    assert settings["BYOK_GATEWAY_HOSTS"] == str(manifests["StatefulSet", "gateway"]["spec"]["replicas"])
    for (kind, name), one in manifests.items():
        if kind == "Service":
            labels = [o["spec"]["template"]["metadata"]["labels"] for o in manifests.values() if o["kind"] in ("StatefulSet", "Deployment")]
            assert one["spec"]["selector"] in labels, name


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
def test_kustomize_builds_the_manifests():
    done = subprocess.run(["kubectl", "kustomize", str(DEPLOY / "kubernetes")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(list(yaml.safe_load_all(done.stdout))) >= 9


def test_grafana_panels_have_numbers_of_their_own_and_something_to_show():
    panels = json.loads((DEPLOY / "grafana" / "byok.json").read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels) > 8
    assert all(target["expr"].strip() for panel in panels for target in panel["targets"])


def test_no_secret_beside_the_examples_gets_into_an_image_or_a_repository():
    lets_in = (ROOT / ".dockerignore").read_text().splitlines()
    assert next(line for line in lets_in if not line.startswith("#")) == "*"
    assert [line for line in lets_in if line.startswith(("!deploy", "!data", "!.venv", "!.git"))] == []
    made = re.findall(r"requirements[\w-]*\.(?:lock|txt)", (ROOT / "Makefile").read_text().split("$(INSTALLED): ")[1].split("\n")[0])
    assert {f"!{name}" for name in [*made, "requirements-scale.lock", "Makefile", "byok", "pages", "app.py"]} <= set(lets_in)
    for path in (DEPLOY / "compose").glob("*.yaml"):
        for secret in (documents(path)[0].get("secrets") or {}).values():
            assert f"/deploy/compose/{secret['file'].removeprefix('./')}" in (ROOT / ".gitignore").read_text().splitlines()


def test_the_probes_that_route_do_not_ask_for_what_all_share():
    """`/readyz` is 503 everywhere at once while the database or the store is away."""
    manifests = [one for path in (DEPLOY / "kubernetes").glob("*.yaml") for one in documents(path)]
    pods = [one["spec"]["template"]["spec"] for one in manifests if one["kind"] in ("StatefulSet", "Deployment")]
    probes = [
        container["readinessProbe"]["httpGet"]["path"] for pod in pods for container in pod["containers"] if "readinessProbe" in container
    ]
    assert probes == ["/healthz", "/healthz"]


def test_no_secret_lies_in_an_example():
    secret = re.compile(r"(password|secret_access_key|AWS_SECRET\w*)\s*[:=]\s*[\"']?[A-Za-z0-9+]{8,}|://\w+:[^@/\s]+@", re.IGNORECASE)
    assert [path.name for path in TEXTS if secret.search(path.read_text())] == []


def test_what_the_page_reconcile_takes_goes_through_the_proxy():
    taken = int(re.findall(r"maxUploadSize = (\d+)", (DEPLOY.parent / ".streamlit" / "config.toml").read_text())[0])
    web = (DEPLOY / "nginx" / "byok.conf").read_text().split("server {")[3]
    assert int(re.findall(r"client_max_body_size (\d+)m;", web)[0]) > taken
