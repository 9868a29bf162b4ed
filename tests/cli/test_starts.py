"""A process imports only what it uses."""

import resource
import signal
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


@pytest.mark.parametrize("nohup", [False, True])
def test_a_terminal_that_is_closed_stops_a_process_in_order_but_under_nohup(installation, nohup):
    run = [sys.executable, "-m", "byok", "keeper", "--data", str(installation.data)]
    set_up = (lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)) if nohup else None
    with subprocess.Popen(run, env=installation.env, stderr=subprocess.PIPE, text=True, preexec_fn=set_up) as keeper:
        assert keeper.stderr and "started" in keeper.stderr.readline()
        keeper.send_signal(signal.SIGHUP)
        if nohup:
            with pytest.raises(subprocess.TimeoutExpired):
                keeper.wait(2)
            keeper.terminate()
        assert keeper.wait(30) == 0
        assert "stopped" in keeper.stderr.read()


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
