"""How much of what was sent the other end has taken in: what tells a request that never arrived from one that was lost on the way back.

Reference: tcp(7), TCP_INFO; `tcpi_bytes_acked` is RFC 4898's tcpEStatsAppHCThruOctetsAcked.
"""

import asyncio
import socket
import struct

_ACKED = struct.Struct("=120xQ")  # linux/tcp.h, struct tcp_info
OPENING = 1  # what the opening of a connection counts for


def bytes_acknowledged(transport: asyncio.BaseTransport) -> int | None:
    """Return how many bytes the other end has confirmed on this connection, `OPENING` included; None where the system does not say."""
    try:
        told = transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _ACKED.size)
        return int(_ACKED.unpack(told)[0])
    except (OSError, AttributeError, struct.error):  # closed by now; macOS; an old kernel
        return None
