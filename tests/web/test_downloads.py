"""Downloads that pages offer: what is in the file, exact and disarmed, and how far each has come."""

import io
import json
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq

from byok import downloads
from byok.store.scope import Scope
from tests.samples import NOON

ALL = Scope("usr_ada1", NOON.replace(hour=0), NOON.replace(hour=23), models=("gpt-4o-mini",))


def fetch(home, fmt: str, **words):
    address = downloads.offer("usr_ada1", ALL, fmt, f"usage.{fmt}", now=home.services.now(), **words)
    answer = home.signed_in(home.ada).get(address)
    assert answer.status_code == 200
    return answer, address.rsplit("/", 1)[-1]


def test_only_a_get_uses_a_link_up(home):
    address = downloads.offer("usr_ada1", ALL, "csv", "usage.csv", now=home.services.now())
    browser = home.signed_in(home.ada)
    assert browser.head(address).status_code == 405
    assert [browser.get(address).status_code for _ in range(2)] == [200, 404]


def test_parquet_names_period_and_filters_and_no_user(home):
    answer, _ = fetch(home, "parquet")
    file = pq.ParquetFile(io.BytesIO(answer.content))
    named = json.loads(file.metadata.metadata[b"byok"])
    assert named == {"since": "2026-11-20T00:00:00+00:00", "until": "2026-11-20T23:00:00+00:00", "tz": "UTC", "model": ["gpt-4o-mini"]}
    assert file.schema_arrow.names[:2] == ["ts", "user_id"]


def test_sums_and_costs_are_exact_in_every_format(home):
    rows = json.loads(fetch(home, "json", group_by=("vendor", "model"))[0].text, parse_float=Decimal)
    lines = fetch(home, "csv", group_by=("vendor", "model"))[0].text.splitlines()
    table = pq.read_table(io.BytesIO(fetch(home, "parquet", group_by=("vendor", "model"))[0].content))
    (row,) = rows
    assert lines[0].startswith("vendor,model,prompt_tokens")
    assert f",{row['cost_usd']:f}," in f"{lines[1]},"
    assert table["cost_usd"].to_pylist() == [row["cost_usd"]]
    assert pa.types.is_decimal(table.schema.field("cost_usd").type)
    assert row["cost_usd"].as_tuple().exponent == -9


def test_records_with_cost_have_two_columns_more(home):
    plain, priced = fetch(home, "csv")[0].text.splitlines(), fetch(home, "csv", priced=True)[0].text.splitlines()
    assert priced[0] == f"{plain[0]},cost_usd,price_source"
    assert len(priced) == len(plain)


def test_nothing_is_a_file_with_its_header(home):
    nobody = Scope("usr_ada1", NOON.replace(year=2020), NOON.replace(year=2021))
    address = downloads.offer("usr_ada1", nobody, "csv", "usage.csv", now=home.services.now(), group_by=("day", "model"))
    assert home.signed_in(home.ada).get(address).text.startswith("day,model,prompt_tokens")


def test_progress_is_told_to_the_owner_only(home):
    answer, link = fetch(home, "jsonl")
    found = downloads.REGISTRY.progress(link, "usr_ada1")
    assert found is not None
    assert (found.rows, found.over, found.whole) == (len(answer.text.splitlines()), True, True)
    assert downloads.REGISTRY.progress(link, "usr_bob1") is None
    downloads.REGISTRY.forget("usr_ada1")
    assert downloads.REGISTRY.progress(link, "usr_ada1") is None


def test_a_download_that_breaks_off_is_over_and_not_whole():
    progress = downloads.Progress("usr_ada1")
    batches = progress.counting(pa.RecordBatch.from_pydict({"a": [1, 2]}) for _ in range(3))
    next(batches)
    batches.close()
    assert (progress.rows, progress.over, progress.whole) == (2, True, False)
