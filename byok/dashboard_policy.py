"""What a browser may do on the dashboard's pages, whatever came to stand in them: nothing with other sites, no script but ours."""

import base64
import hashlib
import re
from functools import cache

from starlette.types import Message, Send

_INLINE = re.compile(rb"<script>(.*?)</script>", re.DOTALL)
_OTHERS = [(b"x-frame-options", b"DENY"), (b"referrer-policy", b"same-origin"), (b"x-content-type-options", b"nosniff")]


def sending(send: Send, page: bytes | None = None) -> Send:
    """The same `send`, with the headers. `page`: the HTML that is sent, if it is ours and its scripts are to run."""
    headers = [(b"content-security-policy", policy(page or b"")), *_OTHERS]

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), *headers]}
        await send(message)

    return sending


@cache
def policy(page: bytes) -> bytes:
    """The policy of a page with these inline scripts.

    Styles may be inline: Streamlit and its tables write them. The preview of a mail is a frame without an origin.
    """
    digests = [base64.b64encode(hashlib.sha256(script).digest()).decode() for script in _INLINE.findall(page)]
    scripts = " ".join(["'self'", *(f"'sha256-{digest}'" for digest in digests)])
    return (
        f"default-src 'self'; script-src {scripts}; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
        "worker-src 'self' blob:; frame-src data:; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ).encode()
