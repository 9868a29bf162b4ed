"""Our own errors, as the official SDKs of each wire format raise them."""

from typing import Any

import anthropic
import httpx
import httpx2  # what Anthropic's SDK is made of
import openai
import pytest
from google import genai
from google.genai import errors as google_errors
from google.genai import types as google_types

from byok.errors import (
    BadRequest,
    ByokError,
    ModelUnknown,
    PathNotAllowed,
    TooManyRequests,
    Unauthorized,
    VendorKeyMissing,
    VendorTimeout,
    VendorUnreachable,
)
from byok.gateway.formats import anthropic as anthropic_format
from byok.gateway.formats import gemini, openai_chat, openai_responses
from byok.gateway.formats.shape import Format

ERRORS = [
    BadRequest("The body is odd.", remedy="Send another."),
    Unauthorized(),
    VendorKeyMissing("openai"),
    PathNotAllowed("openai"),
    ModelUnknown(["gpt-4o-mini"]),
    TooManyRequests("Too many.", remedy="Wait."),
    VendorUnreachable("openai"),
    VendorTimeout("openai", 3),
]
NAMES = {
    400: "BadRequestError",
    401: "AuthenticationError",
    403: "PermissionDeniedError",
    404: "NotFoundError",
    429: "RateLimitError",
    502: "InternalServerError",
    504: "InternalServerError",
}


def answering(fmt: Format, error: ByokError, *, inside_a_stream: bool = False, library: Any = httpx) -> Any:
    def answer(_: Any) -> Any:
        if inside_a_stream:
            return library.Response(200, content=fmt.error_event(error), headers={"content-type": "text/event-stream"})
        return library.Response(error.status, content=fmt.error_body(error), headers={"content-type": "application/json"})

    return library.Client(transport=library.MockTransport(answer))


def openai_client(http: httpx.Client) -> openai.OpenAI:
    return openai.OpenAI(api_key="k", base_url="http://gateway/v1", http_client=http, max_retries=0)


def anthropic_client(http: httpx2.Client) -> anthropic.Anthropic:
    return anthropic.Anthropic(api_key="k", base_url="http://gateway", http_client=http, max_retries=0)


MESSAGES = [{"role": "user", "content": "hi"}]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.code)
def test_openais_client_raises_our_errors_as_its_own(error: ByokError):
    client = openai_client(answering(openai_chat.FORMAT, error))
    with pytest.raises(getattr(openai, NAMES[error.status])) as raised:
        client.chat.completions.create(model="m", messages=MESSAGES)
    assert (raised.value.status_code, raised.value.code) == (error.status, error.code)
    assert error.message in str(raised.value)
    assert error.remedy in str(raised.value)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.code)
def test_anthropics_client_raises_our_errors_as_its_own(error: ByokError):
    client = anthropic_client(answering(anthropic_format.FORMAT, error, library=httpx2))
    with pytest.raises(getattr(anthropic, NAMES[error.status], anthropic.APIStatusError)) as raised:
        client.messages.create(model="m", max_tokens=1, messages=MESSAGES)
    assert raised.value.status_code == error.status
    assert raised.value.body["error"]["code"] == error.code
    assert error.remedy in str(raised.value)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.code)
def test_googles_client_raises_our_errors_as_its_own(error: ByokError):
    options = google_types.HttpOptions(base_url="http://gateway", httpx_client=answering(gemini.FORMAT, error))
    client = genai.Client(api_key="k", http_options=options)
    kind = google_errors.ClientError if error.status < 500 else google_errors.ServerError
    with pytest.raises(kind) as raised:
        client.models.generate_content(model="m", contents="hi")
    assert raised.value.code == error.status
    assert error.code in str(raised.value)
    assert error.remedy in str(raised.value)


def test_openai_inside_a_stream():
    client = openai_client(answering(openai_chat.FORMAT, ERRORS[-1], inside_a_stream=True))
    with pytest.raises(openai.APIError, match="silent"):
        list(client.chat.completions.create(model="m", messages=MESSAGES, stream=True))


def test_openai_inside_a_stream_of_responses():
    client = openai_client(answering(openai_responses.FORMAT, ERRORS[-1], inside_a_stream=True))
    [event] = client.responses.create(model="m", input="hi", stream=True)
    assert (event.type, event.code) == ("error", "vendor_timeout")


def test_anthropic_inside_a_stream():
    client = anthropic_client(answering(anthropic_format.FORMAT, ERRORS[-1], inside_a_stream=True, library=httpx2))
    with pytest.raises(anthropic.APIStatusError, match="silent"):
        list(client.messages.create(model="m", max_tokens=1, messages=MESSAGES, stream=True))


def test_google_inside_a_stream():
    http = answering(gemini.FORMAT, ERRORS[-1], inside_a_stream=True)
    client = genai.Client(api_key="k", http_options=google_types.HttpOptions(base_url="http://gateway", httpx_client=http))
    with pytest.raises(google_errors.APIError, match="silent"):
        list(client.models.generate_content_stream(model="m", contents="hi"))
