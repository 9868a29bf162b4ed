"""`byok prices …`, and that what it sets is in force everywhere at once, for days to come only."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from byok.services import Services
from byok.settings import load
from byok.store import questions
from byok.store.scope import EveryonesScope
from byok.zones import EARLIEST, LATEST

EVERYONE = EveryonesScope(EARLIEST, LATEST)


@pytest.fixture
def today():
    return datetime.now(UTC).date()


def test_a_price_that_is_set_holds_in_what_already_runs_and_for_no_day_that_is_over(installation, today):
    days = [today - timedelta(days=back) for back in (3, 0)]
    rows = [{"ts": f"{day}T00:00:00Z", "user_id": "usr_ada1", "prompt_tokens": 1_000_000, "completion_tokens": 0} for day in days]
    installation.import_rows(*rows, options=("--create-users", "enterprise"))
    with Services(load(installation.env)) as running:
        running.engine._remember_from_rows = 1

        def costs() -> list[Decimal]:
            return [row["cost_usd"] for row in questions.usage(running.engine, EVERYONE, group_by=("day",), cost=True).rows]

        assert costs() == costs() == [Decimal("2.5"), Decimal("2.5")]
        installation.ok("prices", "set", "gpt-4o", "--input", "7", "--output", "8", "--source", "contract")
        assert costs() == [Decimal("2.5"), Decimal("7")]
        sources = running.engine.connection().execute("select price_source from usage_priced order by ts").fetchall()
        assert [source for (source,) in sources] == ["as stated by the product's owner (2026-06-06)", f"contract ({today})"]
        installation.ok("prices", "set", "gpt-4o", "--catalogue")
        assert costs() == [Decimal("2.5"), Decimal("2.5")]


def test_the_past_is_not_priced_anew(installation):
    refused = installation.run("prices", "set", "gpt-4o", "--input", "7", "--output", "8", "--from", "2026-07-01")
    assert refused.exit_code == 1 and "stay as they were priced" in refused.stderr


def test_a_price_to_come_can_be_taken_back_and_one_that_holds_cannot(installation, today):
    installation.ok("prices", "set", "openai/gpt-4o", "--input", "7", "--output", "8", "--from", str(today + timedelta(days=1)))
    assert [row["input"] for row in installation.json("prices", "show", "gpt-4o", "--json")] == [2.5, 7]
    installation.ok("prices", "unset", "gpt-4o", "--from", str(today + timedelta(days=1)))
    assert [row["input"] for row in installation.json("prices", "show", "gpt-4o", "--json")] == [2.5]
    assert installation.run("prices", "unset", "gpt-4o", "--from", str(today + timedelta(days=1))).exit_code == 1
    installation.ok("prices", "set", "lab/our-7b", "--input", "0.1", "--output", "0.2")
    assert "stay as they were priced" in installation.run("prices", "unset", "lab/our-7b", "--from", str(today)).stderr


@pytest.mark.slow  # the package that knows them takes seconds to load
def test_a_sourced_price_is_switched_on(installation):
    assert "cached 1.25" in installation.ok("prices", "set", "gpt-4o", "--genai")
    assert "differs (the operator set it)" not in installation.ok("prices", "check"), "it is what the package says"
    installation.ok("prices", "set", "gpt-4o", "--input", "1", "--output", "2")
    assert "openai/gpt-4o: differs (the operator set it)" in installation.ok("prices", "check")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("gpt-4o",), "Name --input and --output"),
        (("gpt-4o", "--input", "1"), "Name --input and --output"),
        (("gpt-4o", "--input", "1", "--output", "2", "--genai"), "Name --input and --output"),
        (("gpt-4o", "--input", "-1", "--output", "2"), "must lie between"),
        (("gpt-4o", "--input", "much", "--output", "2"), "no price"),
        (("our-7b", "--input", "1", "--output", "2"), "as vendor/model"),
        (("lab/sk-live-4f3a", "--input", "1", "--output", "2"), "No model"),
        (("qwen3-max", "--genai"), "knows no price"),
    ],
)
def test_what_cannot_be_set_is_said(installation, options, said):
    done = installation.run("prices", "set", *options)
    assert done.exit_code and said in done.stderr


def test_rates_are_written_in_digits(installation):
    listed = installation.ok("prices", "list", "--vendor", "openai")
    assert next(line for line in listed.splitlines() if " gpt-4o " in line).split()[2:4] == ["2.5", "10"]
    assert "input 2.5, output 10 " in installation.ok("prices", "show", "gpt-4o")


def test_many_prices_are_imported_all_or_none(installation, tmp_path):
    file = tmp_path / "own.csv"
    file.write_text("vendor,model,from,input,output,source\nlab,our-7b,2026-01-01,0.1,0.2,invoice\nopenai,gpt-4o,2026-01-01,1,2,invoice\n")
    assert installation.run("prices", "import", str(file)).exit_code == 1
    assert installation.run("prices", "show", "our-7b").exit_code == 1
    file.write_text("vendor,model,from,input,output,source\nlab,our-7b,2026-01-01,0.1,0.2,invoice\nopenai,gpt-4o,,1,2,invoice\n")
    assert "would be set" in installation.ok("prices", "import", str(file), "--dry-run")
    assert installation.run("prices", "show", "our-7b").exit_code == 1
    assert installation.ok("prices", "import", str(file)) == "2 prices of 2 models set.\n"
    assert "invoice (2026-01-01)" in installation.ok("prices", "show", "lab/our-7b")
