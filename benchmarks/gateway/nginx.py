"""nginx: one process from one configuration, for the mock vendor and for the plain reverse proxy."""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

from benchmarks.gateway.processes import accepts, find_program, started, wait_until

_CONFIG = """
daemon off; worker_processes 1; pid {root}/{name}.pid; error_log {root}/{name}.log crit;
events {{ worker_connections 8192; }}
http {{
  access_log off; client_body_buffer_size 1m; keepalive_requests 100000000;
  client_body_temp_path {root}/b; proxy_temp_path {root}/p; fastcgi_temp_path {root}/f; uwsgi_temp_path {root}/u; scgi_temp_path {root}/s;
  {servers}
}}
"""


@contextlib.contextmanager
def running(name: str, servers: str, port: int, root: Path, core: int) -> Iterator[subprocess.Popen[bytes]]:
    """An nginx that answers on `port`, which is one of those that `servers` names."""
    config, log = root / f"{name}.conf", root / f"{name}.out"
    config.write_text(_CONFIG.format(root=root, name=name, servers=servers))
    with started(core, [find_program("nginx") or "nginx", "-c", str(config)], log) as process:
        wait_until(lambda: accepts(port), process, log, 20)
        yield process
