"""Where a process that listens on an address is reached from this machine."""

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
