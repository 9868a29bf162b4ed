"""What the SQL page says there is, is what a query finds."""

import pytest

from byok.store import tables
from byok.store.console import USAGE_PRICED
from byok.ui.sql_tables import TABLES
from byok.usage import COLUMN_NAMES


@pytest.mark.parametrize(
    ("name", "columns"),
    [
        ("usage", list(COLUMN_NAMES)),
        ("usage_priced", USAGE_PRICED.names),
        ("keys", tables.KEYS.names),
        ("spikes", tables.SPIKES.names),
    ],
)
def test_the_schema_browser_names_every_column(name, columns):
    assert [field.name for field in TABLES[name][1]] == columns
