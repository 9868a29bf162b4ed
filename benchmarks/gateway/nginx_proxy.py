"""nginx as a plain reverse proxy: what relaying costs when nothing else is done."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from benchmarks.gateway import nginx
from benchmarks.gateway.target import Endpoint, Target
from benchmarks.gateway.vendor import Vendor
from tests.e2e.installation import free_port

CONDITIONS = "one worker, connections to the vendor kept alive, answers not buffered, no log"
_SERVERS = """
  upstream json {{ server 127.0.0.1:{vendor.json_port}; keepalive 256; keepalive_requests 100000000; }}
  upstream streams {{ server 127.0.0.1:{vendor.stream_port}; keepalive 256; keepalive_requests 100000000; }}
  proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off;
  server {{ listen 127.0.0.1:{json_port} backlog=4096; location / {{ proxy_pass http://json; }} }}
  server {{ listen 127.0.0.1:{stream_port} backlog=4096; location / {{ proxy_pass http://streams; }} }}
"""


@contextlib.contextmanager
def running(root: Path, vendor: Vendor, core: int) -> Iterator[Target]:
    json_port, stream_port = free_port(), free_port()
    servers = _SERVERS.format(vendor=vendor, json_port=json_port, stream_port=stream_port)
    with nginx.running("nginx", servers, stream_port, root, core) as process:
        yield Target("nginx", Endpoint(json_port, pid=process.pid), Endpoint(stream_port, pid=process.pid))
