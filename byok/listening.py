"""Listening on an address, and where who does so is reached from this machine."""

import socket

from byok.errors import PortTaken

_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}  # noqa: S104 - no binding happens here


def reachable(host: str) -> str:
    """The address under which a process that listens on `host` is reached from this machine."""
    return _EVERYWHERE.get(host, host)


def url_of(host: str, port: int) -> str:
    """The same as an address for clients, without a slash at its end.

    >>> url_of("::", 8080)
    'http://[::1]:8080'
    """
    shown = reachable(host)
    return f"http://{f'[{shown}]' if ':' in shown else shown}:{port}"


def listen(host: str, port: int, setting: str, *, shared: bool = False) -> socket.socket:
    """A bound socket; with `shared` several processes may have one each, and the kernel spreads the connections.

    Raises `PortTaken`; `setting` is the name of the variable that picks the port.
    """
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((host, port))
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise PortTaken(host, port, setting) from None
    return listener


def is_free(host: str, port: int) -> bool:
    """Whether a process of ours could listen there now."""
    try:
        listen(host, port, "").close()
    except PortTaken:
        return False
    return True
