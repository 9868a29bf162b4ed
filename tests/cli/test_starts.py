"""A process imports only what it uses."""

import subprocess
import sys

LOADED = """
import sys
from byok.cli.processes import _WithoutPandas
sys.meta_path.insert(0, _WithoutPandas())
import byok.keeper, byok.notify.delivery, byok.store.engine
import pyarrow as pa
pa.array([1, None]).to_numpy(zero_copy_only=False)
print(*(name for name in ("pandas", "jinja2", "css_inline", "sqlglot", "pyspark", "psycopg") if name in sys.modules))
"""


def test_the_keeper_starts_without_pandas_and_what_only_some_need():
    assert subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=True).stdout.split() == []
