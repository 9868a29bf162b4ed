"""What an error of ours is, and those of no single room: what happened, a stable code, and what to do about it.

No message holds a secret, a prompt, an answer or a vendor's text. Rooms raise; faces translate into HTTP, a notice or a line.
"""


class ByokError(Exception):
    """Base of all: `status` is the HTTP status a face answers with, `code` never changes between releases."""

    status = 400
    code = "bad_request"

    def __init__(self, message: str, *, remedy: str) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def body(self) -> dict[str, dict[str, object]]:
        """The error body of our own API."""
        return {"error": {"code": self.code, "message": self.message, "remedy": self.remedy}}


class SettingsInvalid(ByokError):
    """Settings that make no sense; lists every fault by the name of its setting."""

    code = "settings_invalid"

    def __init__(self, faults: list[str]) -> None:
        self.faults = faults
        super().__init__(
            "These settings make no sense:\n" + "\n".join(f"  {fault}" for fault in faults),
            remedy="Correct them in the environment or in byok.toml and start again.",
        )


class PortTaken(ByokError):
    """`setting` is the name of the variable that picks the port."""

    code = "port_taken"

    def __init__(self, host: str, port: int, setting: str) -> None:
        super().__init__(
            f"{host}:{port} is in use, or no address of this machine.",
            remedy=f"Stop what listens there, or set {setting} to another port.",
        )


class Unauthorized(ByokError):
    """One body for every way of not being let in, so that nothing can be told apart."""

    status, code = 401, "unauthorized"

    def __init__(self) -> None:
        super().__init__(
            "No valid access token or JWT came with this request.",
            remedy="Send `Authorization: Bearer <token>`; make one on the Keys page or with: byok access-token new EMAIL",
        )


class Forbidden(ByokError):
    status, code = 403, "forbidden"


class NotFound(ByokError):
    status, code = 404, "not_found"


class BadRequest(ByokError):
    status, code = 400, "bad_request"


class PathNotAllowed(ByokError):
    status, code = 404, "path_not_allowed"

    def __init__(self, vendor: str) -> None:
        super().__init__(
            f"This path of {vendor} is not one that the gateway passes on.",
            remedy="docs/guide.md lists the paths of each vendor; an operator can add a vendor in byok.toml.",
        )


class ModelUnknown(ByokError):
    status, code = 404, "model_unknown"

    def __init__(self, nearest: list[str]) -> None:
        hint = f"Nearest names: {', '.join(nearest)}. " if nearest else ""
        super().__init__(
            "No vendor is known for this model.",
            remedy=f"{hint}Name the vendor too, as vendor/model (for example openai/gpt-4o-mini). GET /v1/models lists yours.",
        )


class VendorKeyMissing(ByokError):
    status, code = 403, "vendor_key_missing"

    def __init__(self, vendor: str, *, named: bool = False) -> None:
        if named:
            super().__init__(
                f"You have no {vendor} key of the id in x-byok-key.",
                remedy="Leave the header out for your default key; the Keys page and byok key list EMAIL show the ids.",
            )
            return
        super().__init__(
            f"No {vendor} key is stored for your account.",
            remedy=f"Add one on the Keys page, or run: byok key add EMAIL --vendor {vendor}; or send it in x-byok-vendor-key.",
        )


class BodyTooLarge(ByokError):
    status, code = 413, "body_too_large"

    def __init__(self, limit_mb: int) -> None:
        super().__init__(
            f"The request body is larger than {limit_mb} MB.",
            remedy="Send less, or let the operator raise BYOK_MAX_BODY_MB.",
        )


class TooManyRequests(ByokError):
    status, code = 429, "too_many_requests"

    def __init__(self, message: str, *, remedy: str, retry_after_s: int = 1) -> None:
        super().__init__(message, remedy=remedy)
        self.retry_after_s = retry_after_s


class VendorUnreachable(ByokError):
    status, code = 502, "vendor_unreachable"

    def __init__(self, vendor: str) -> None:
        super().__init__(
            f"{vendor} could not be reached.", remedy="Try again; if it persists, check the vendor's status page and the network."
        )


class VendorTimeout(ByokError):
    status, code = 504, "vendor_timeout"

    def __init__(self, vendor: str, seconds: float) -> None:
        super().__init__(
            f"{vendor} was silent for {seconds:g} s.",
            remedy="Try again, stream the answer, or let the operator raise BYOK_UPSTREAM_TIMEOUT_S.",
        )
