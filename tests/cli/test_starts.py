"""A process imports only what it uses."""

import resource
import subprocess
import sys

import pytest

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


CRASHED = """
import os, resource, sys
from byok.cli import cli
hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
try:
    cli(sys.argv[1:])
except SystemExit:
    print(resource.getrlimit(resource.RLIMIT_CORE)[0])
"""


@pytest.mark.skipif(resource.getrlimit(resource.RLIMIT_CORE)[1] == 0, reason="no process here writes a core file anyway")
def test_a_process_that_crashes_writes_its_memory_nowhere(installation):
    run = [sys.executable, "-c", CRASHED, "user", "list", "--data", str(installation.data)]
    assert subprocess.run(run, capture_output=True, text=True, check=True, env=installation.env).stdout.split()[-1] == "0"
