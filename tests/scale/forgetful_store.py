"""`python -m tests.scale.forgetful_store PORT` passes requests on to the store at PORT without their conditions, and prints its own port.

A process of its own: deltalake keeps Python waiting while it asks.
"""

import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx

_NOT_SENT = ("if-none-match", "host")
_NOT_RETURNED = ("content-length", "connection", "transfer-encoding", "date", "server")


def main(port: int) -> None:
    client = httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=60)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            headers = [(name, value) for name, value in self.headers.items() if name.lower() not in _NOT_SENT]
            answer = client.request(self.command, self.path, headers=headers, content=body)
            self.send_response(answer.status_code)
            for name, value in answer.headers.items():
                if name.lower() not in _NOT_RETURNED:
                    self.send_header(name, value)
            is_head = self.command == "HEAD"
            self.send_header("content-length", answer.headers.get("content-length", "0") if is_head else str(len(answer.content)))
            self.end_headers()
            self.wfile.write(b"" if is_head else answer.content)

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = pass_on

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]))
