"""A message for any other receiver: JSON, signed, so that it can tell ours from anybody's.

`x-byok-signature: v1=<hex>` is HMAC-SHA256 over `<x-byok-timestamp>.<body>` with the secret that was shown when the rule was made; a
receiver refuses timestamps older than five minutes, and knows a repeated delivery by `x-byok-delivery`.
"""

import hashlib
import hmac
import json
from collections.abc import Iterable
from datetime import datetime

from byok.accounts.key_vault import Secret
from byok.notify import outgoing
from byok.notify.findings import Finding, Words, body
from byok.notify.outcome import Outcome


def send(
    url: Secret, key: Secret, delivery_id: str, what: str, found: Finding, told: Words, email: str, *, now: datetime, hosts: Iterable[str]
) -> Outcome:
    """Post `{"id", "type", "sent_at", "user", "text", "url", "finding"}`."""
    facts = {"id": delivery_id, "type": what, "sent_at": f"{now:%Y-%m-%dT%H:%M:%SZ}", "user": email, "text": told.text, "url": told.url}
    text = json.dumps(facts | {"finding": body(found)}, ensure_ascii=True).encode()
    stamp = str(int(now.timestamp()))
    headers = {
        "content-type": "application/json",
        "x-byok-timestamp": stamp,
        "x-byok-delivery": delivery_id,
        "x-byok-signature": f"v1={signature(key, stamp, text)}",
    }
    return outgoing.post(url.reveal(), text, headers, hosts=hosts)


def signature(key: Secret, stamp: str, text: bytes) -> str:
    """The hex HMAC-SHA256 of `<stamp>.<text>`."""
    return hmac.new(key.reveal().encode(), stamp.encode() + b"." + text, hashlib.sha256).hexdigest()
