"""What a client's headers say, read once: SDKs repeat them with every call of a connection, but for the length."""

import hashlib
import re
from functools import cached_property

from byok.accounts.api_tokens import LONGEST_TOKEN
from byok.errors import BadRequest, Unauthorized
from byok.gateway import headers
from byok.gateway.headers import CREDENTIALS, Headers

SENT = "byok.sent"  # where an ASGI scope holds it
_TOKEN = re.compile(rb"byok_[A-Za-z0-9]{8}_[A-Za-z0-9_-]{43}")
_JWT = re.compile(rb"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")


class Sent:
    """The headers of a request (names in lower case; the length may be left out), and what the gateway asks of them."""

    def __init__(self, pairs: Headers) -> None:
        self.pairs = pairs

    @cached_property
    def credential(self) -> bytes:
        """The one access token or JWT among the headers that SDKs use for keys. What cannot be one (a vendor's own key) is passed over.

        Raises `Unauthorized` if there is none, `BadRequest` for a header sent twice or for two different tokens.
        """
        found: bytes | None = None
        seen: list[bytes] = []
        for name, value in self.pairs:
            if name not in CREDENTIALS:
                continue
            if name in seen:
                raise BadRequest(f"The header {name.decode()} came twice.", remedy="Send one credential, in one header.")
            seen.append(name)
            if name == b"authorization":
                value = value[7:].strip() if value[:7].lower() == b"bearer " else b""
            if not _could_be_ours(value):
                continue
            if found is not None and found != value:
                raise BadRequest("Two different access tokens came with this request.", remedy="Send one credential, in one header.")
            found = value
        if found is None:
            raise Unauthorized
        return found

    @cached_property
    def digest(self) -> bytes:
        """SHA-256 of the credential; raises as it does."""
        return hashlib.sha256(self.credential).digest()

    @cached_property
    def hosts(self) -> int:
        """How many there are."""
        return sum(name == b"host" for name, _ in self.pairs)

    @cached_property
    def codings(self) -> list[bytes]:
        """How the body is wrapped for its transfer."""
        return [value.strip().lower() for name, value in self.pairs if name == b"transfer-encoding"]

    @cached_property
    def is_form(self) -> bool:
        """Whether the body is said to be a form with parts."""
        return (headers.first(self.pairs, b"content-type") or b"").lower().startswith(b"multipart/")

    @cached_property
    def vendor_key(self) -> bytes | None:
        """A vendor key of the caller's own for this call."""
        return headers.first(self.pairs, headers.VENDOR_KEY)

    @cached_property
    def key_id(self) -> bytes | None:
        """The id of the stored key that the caller wants."""
        return headers.first(self.pairs, headers.KEY_ID)

    @cached_property
    def for_vendor(self) -> Headers:
        """What goes on to a vendor, without any credential."""
        return headers.to_vendor(self.pairs)


def _could_be_ours(value: bytes) -> bool:
    """Cheap: a flood of nonsense never reaches the database."""
    return _TOKEN.fullmatch(value) is not None or (len(value) <= LONGEST_TOKEN and _JWT.fullmatch(value) is not None)
