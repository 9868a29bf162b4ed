"""`byok spikes` and the view `spikes` on the command line."""

import csv
import json
import math
from datetime import UTC, datetime, timedelta

import pytest

from byok.spikes.episodes import METRICS

NOW = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
PLANTED = NOW - timedelta(days=2)
COLUMNS = ["hour", "user_id", "vendor", "model", "metric", "actual", "usual", "times", "score", "why"]


@pytest.fixture
def two_users(installation):
    """Ada ran away once, two days ago; Bob never. Twenty calls an hour, for four weeks."""
    for name in ("ada", "bob"):
        installation.ok("user", "add", f"{name}@example.org", "--plan", "enterprise")
    ids = {name: installation.user_id(f"{name}@example.org") for name in ("ada", "bob")}
    path = installation.data.parent / "usage.csv"
    with path.open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["ts", "user_id", "key_id", "vendor", "model", "endpoint", "prompt_tokens", "completion_tokens", "total_tokens",
                      "status", "usage_source"])  # fmt: skip
        for name, user_id in ids.items():
            for hours in range(28 * 24):
                hour = NOW - timedelta(hours=hours)
                for n in range(200 if (name, hour) == ("ada", PLANTED) else 20 if hours else 3):
                    at = (hour + timedelta(seconds=n)).isoformat()
                    out.writerow([at, user_id, f"key_{name}1", "openai", "gpt-4o", "chat", 100, 20 + n % 3, 120 + n % 3, 200, "vendor"])
    assert installation.json("import", str(path), "--json")["refused"] == 0
    return ids


def test_the_planted_hour_is_the_only_row_everywhere(installation, two_users):
    (row,) = installation.json("spikes", "--json")
    assert list(row) == COLUMNS
    assert row["hour"] == PLANTED.strftime("%Y-%m-%dT%H:%M:%S.000000Z")
    assert (row["user_id"], row["vendor"], row["model"], row["metric"]) == (two_users["ada"], "openai", "gpt-4o", "tokens")
    assert row["actual"] / row["usual"] == pytest.approx(row["times"]) == pytest.approx(10, rel=0.02)
    assert 0.5 <= row["score"] <= 1
    assert f"10.0 × the usual {PLANTED:%A %H:%M}" in row["why"] and row["why"].endswith(
        "100 % of the excess from key key_ada1, model gpt-4o"
    )
    assert installation.json("spikes", "--user", "ada@example.org", "--json") == [row]
    assert installation.json("spikes", "--user", "bob@example.org", "--json") == []
    assert installation.json("spikes", "--since", PLANTED.isoformat(), "--until", (PLANTED + timedelta(hours=1)).isoformat(), "--json") == [
        row
    ]
    assert installation.json("spikes", "--since", (PLANTED + timedelta(hours=1)).isoformat(), "--json") == []
    assert "1 unusual hours" in installation.ok("spikes")
    query = "select * from spikes order by hour desc"
    assert installation.json("sql", query, "--format", "json") == [row]
    assert installation.json("sql", query, "--format", "json", "--user", "ada@example.org") == [row]
    assert installation.json("sql", query, "--format", "json", "--user", "bob@example.org") == []
    (kind,) = installation.json("sql", "select typeof(hour) as hour, typeof(score) as score from spikes", "--format", "json")
    assert kind == {"hour": "TIMESTAMP WITH TIME ZONE", "score": "DOUBLE"}


def test_the_printed_views_have_the_spikes_too(installation, two_users):
    import duckdb

    with duckdb.connect() as shell:
        shell.execute(installation.ok("sql", "--init"))
        assert shell.execute("select user_id, metric, round(times) from spikes").fetchall() == [(two_users["ada"], "tokens", 10)]


def test_a_shorter_plan_hides_spikes_at_once(installation, two_users):
    installation.ok("user", "set", "ada@example.org", "--plan", "free")
    assert installation.json("spikes", "--json") == []


def scored(installation, text: str) -> list[float]:
    path = installation.data.parent / "series.csv"
    path.write_text(text)
    return json.loads(installation.ok("spikes", "--series", str(path), "--json"))


def test_any_series_gets_one_score_a_row_and_nothing_is_stored(installation):
    at = [datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=5 * n) for n in range(3000)]
    values = [50 + 20 * math.sin(2 * math.pi * n / 288) + (n * 7919 % 13) / 10 for n in range(3000)]
    values[2500] = 400
    lines = [f"{t:%Y-%m-%d %H:%M:%S},{value}" for t, value in zip(at, values, strict=True)]
    scores = scored(installation, "timestamp,value\n" + "\n".join(lines) + "\n")
    assert len(scores) == 3000
    assert [row for row, score in enumerate(scores) if score >= 0.5] == [2500]
    assert not installation.data.exists()
    zoned = [f"{t.isoformat()},{value}" for t, value in zip(at, values, strict=True)]
    assert scored(installation, "timestamp,value\r\n" + "\r\n".join(zoned)) == scores
    assert scored(installation, "timestamp,value\n" + "\n".join(lines[:2501])) == scores[:2501]


def test_after_a_spike_no_row_of_the_day_looks_like_one_as_it_is_printed(installation):
    at = [datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=n) for n in range(30 * 24)]
    values = [100 + 50 * math.sin(2 * math.pi * n / 24) + n * 7919 % 13 for n in range(len(at))]
    for row in (603, 605, 620):
        values[row] *= 10
    scores = scored(installation, "timestamp,value\n" + "".join(f"{t:%Y-%m-%d %H:%M:%S},{v}\n" for t, v in zip(at, values, strict=True)))
    assert [row for row, score in enumerate(scores[:627]) if score >= 0.5] == [603]
    assert max(scores[604:627]) > 0.4


def test_a_file_without_rows_has_no_scores_and_one_that_is_no_series_says_which_line(installation):
    assert scored(installation, "timestamp,value\n") == []
    path = installation.data.parent / "series.csv"
    for text, line in (
        ("", 1),
        ("time,value\n", 1),
        ("timestamp,value\n2026-01-01,1\nyesterday,2\n", 3),
        ("timestamp,value\n2026-01-01\n", 2),
    ):
        path.write_text(text)
        done = installation.run("spikes", "--series", str(path), "--json")
        assert (done.exit_code, done.stdout) == (1, "")
        assert done.stderr.startswith(f"Line {line} of the file") and done.stderr.count("\n") == 1


def test_metrics_are_those_that_are_said():
    assert METRICS == ("tokens", "calls", "failed", "cost")
