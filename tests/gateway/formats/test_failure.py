"""An error inside a 200 is booked with its real class."""

import pytest

from byok.gateway.formats.failure import base_resp_status, error_status


@pytest.mark.parametrize(
    ("error", "status"),
    [
        ({"type": "overloaded_error", "message": "Overloaded"}, 529),
        ({"type": "rate_limit_error"}, 429),
        ({"type": "authentication_error"}, 401),
        ({"type": "permission_error"}, 401),
        ({"type": "billing_error"}, 402),
        ({"type": "invalid_request_error"}, 400),
        ({"type": "not_found_error"}, 400),
        ({"type": "request_too_large"}, 400),
        ({"type": "timeout_error"}, 504),
        ({"type": "api_error"}, 502),
        ({"code": "rate_limit_exceeded"}, 429),
        ({"code": "insufficient_quota", "type": "insufficient_quota"}, 402),
        ({"code": "invalid_api_key", "type": "invalid_request_error"}, 401),
        ({"code": "server_error"}, 502),
        ({"code": "context_length_exceeded", "type": "invalid_request_error"}, 400),
        ({"code": "content_filter"}, 400),
        ({"code": "invalid_prompt"}, 400),
        ({"code": 429, "status": "RESOURCE_EXHAUSTED"}, 429),
        ({"code": 503, "status": "UNAVAILABLE"}, 529),
        ({"code": 500, "status": "INTERNAL"}, 502),
        ({"code": 504, "status": "DEADLINE_EXCEEDED"}, 504),
        ({"code": 400, "status": "INVALID_ARGUMENT"}, 400),
        ({"code": 403, "status": "PERMISSION_DENIED"}, 401),
        ({"code": 403, "message": "Your input was flagged by moderation"}, 400),
        ({"code": 402, "message": "More credits are needed"}, 402),
        ({"code": 408}, 504),
        ({"code": "429"}, 429),
        ({"code": "1302", "message": "…"}, 429),
        ({"code": "1113", "message": "…"}, 402),
        ({"code": "Throttling.AllocationQuota"}, 429),
        ({"code": "DataInspectionFailed"}, 400),
        ({"message": "The engine is currently overloaded"}, 529),
        ({"message": "something else"}, 502),
        ({}, None),
        (None, None),
        ("", None),
        ("rate limit reached", 429),
        ("boom", 502),
        ([1], 502),
    ],
)
def test_error_status(error: object, status: int | None):
    assert error_status(error) == status


@pytest.mark.parametrize(
    ("code", "status"),
    [(0, None), (1000, 502), (1001, 504), (1002, 429), (1004, 401), (1008, 402), (1026, 400), (2013, 400), (2049, 401), (999999, 502)],
)
def test_base_resp(code: int, status: int | None):
    assert base_resp_status({"status_code": code, "status_msg": "…"}) == status


@pytest.mark.parametrize("odd", [None, [], "x", {}, {"status_code": None}, {"status_code": "1004"}, {"status_code": -1}])
def test_base_resp_of_another_make_is_no_failure(odd: object):
    assert base_resp_status(odd) is None
