"""A request's body is hardly read, and hardly changed."""

import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from byok.errors import BadRequest
from byok.gateway.requests import (
    DuplicateKey,
    InvalidJson,
    RequestHead,
    add_include_usage,
    multipart_model,
    read_request,
    strip_vendor_prefix,
)

# -- reading --


@pytest.mark.parametrize(
    ("body", "head"),
    [
        (b"{}", RequestHead(None, False, False)),
        (b'{"model":"gpt-4o","stream":true}', RequestHead("gpt-4o", True, False)),
        (b'{"model":"gpt-4o","stream":true,"stream_options":{"include_usage":true}}', RequestHead("gpt-4o", True, True)),
        (b'{"stream":true,"stream_options":{"include_usage":false}}', RequestHead(None, True, False)),
        (b'{"stream":true,"stream_options":null}', RequestHead(None, True, False)),
        (b'{"model":7,"stream":"yes","stream_options":[1]}', RequestHead(None, False, False)),
        (b' \r\n{ "messages": [{"model":"inner"}], "model" : "a/b" }\n', RequestHead("a/b", False, False)),
        (b'{"mod\\u0065l":"gpt-4o"}', RequestHead("gpt-4o", False, False)),
        (rb'{"model":"gpt-4o","messages":[{"content":"cut \ud83d"}],"stream":true}', RequestHead("gpt-4o", True, False)),
    ],
)
def test_model_and_stream_are_read_from_a_body(body: bytes, head: RequestHead):
    assert read_request(body) == head


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"null", b'"model"', b"{", b'{"model":}', b'{"a":1} x', b'{"a":NaN}', b"\xff\xfe", b"not json"]
)
def test_what_is_no_json_object_is_refused(body: bytes):
    with pytest.raises(InvalidJson) as refused:
        read_request(body)
    assert (refused.value.status, refused.value.code) == (400, "invalid_json")


def test_half_of_a_pair_in_the_name_of_a_model_is_refused():
    with pytest.raises(InvalidJson):
        strip_vendor_prefix(rb'{"model":"openai\/\ud83d"}', "openai")
    with pytest.raises(InvalidJson):
        read_request(rb'{"model":"gpt-4o","messages":["\ud83d"],"a":NaN}')


@pytest.mark.parametrize("mark", [b"[", b'{"a":'])
def test_deep_nesting_is_refused_at_once(mark: bytes):
    body = b'{"messages":' + mark * 100_000
    began = time.process_time()
    with pytest.raises(BadRequest):
        read_request(body)
    assert time.process_time() - began < 0.5


def test_a_refusal_says_nothing_of_the_body():
    with pytest.raises(InvalidJson) as refused:
        read_request(b'{"model": secret-canary}')
    assert "canary" not in f"{refused.value} {refused.value.remedy} {refused.value.__context__!r} {refused.value.__cause__!r}"


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"gpt-4o-mini","model":"gpt-4o"}',
        b'{"model":"gpt-4o-mini","messages":[],"model":"gpt-4o-mini"}',
        b'{"model":"gpt-4o-mini","mod\\u0065l":"gpt-4o"}',
        b'{"m\\u006fdel":"gpt-4o-mini","model":"gpt-4o"}',
    ],
)
def test_two_models_are_refused(body: bytes):
    with pytest.raises(DuplicateKey):
        read_request(body)


def test_a_model_inside_the_messages_is_no_second_one():
    assert read_request(b'{"tools":[{"model":"x"}],"model":"gpt-4o","metadata":{"model":"y"}}').model == "gpt-4o"


def test_a_large_body_is_quick():
    body = (
        b'{"model":"gpt-4o","messages":[{"role":"user","content":[{"image_url":{"url":"data:' + b"A" * 20_000_000 + b'"}}]}],"stream":true}'
    )
    began = time.process_time()
    assert read_request(body) == RequestHead("gpt-4o", True, False)
    add_include_usage(body)
    assert time.process_time() - began < 1


def test_the_model_of_a_form():
    form = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\nRIFF\r\n'
    form += b'--x\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n--x--\r\n'
    assert multipart_model(form) == "whisper-1"
    assert multipart_model(b"--x--") is None


# -- edits --


@pytest.mark.parametrize(
    ("body", "edited"),
    [
        (b'{"stream":true}', b'{"stream_options":{"include_usage":true},"stream":true}'),
        (b" {\n }", b' {"stream_options":{"include_usage":true}\n }'),
        (b'{"a":1,"stream_options":{}}', b'{"a":1,"stream_options":{"include_usage":true}}'),
        (b'{"stream_options" : { "x":1 } ,"a":1}', b'{"stream_options" : {"include_usage":true, "x":1 } ,"a":1}'),
        (b'{"stream_options":{"x":1,"include_usage": false}}', b'{"stream_options":{"x":1,"include_usage": true}}'),
        (b'{"stream_options":null}', b'{"stream_options":{"include_usage":true}}'),
        (b'{"stream_options":7}', b'{"stream_options":7}'),
        (
            b'{"messages":[{"stream_options":{}}]}',
            b'{"stream_options":{"include_usage":true},"messages":[{"stream_options":{}}]}',
        ),
        (b'{"n":"\\u00e9","stream":true}', b'{"stream_options":{"include_usage":true},"n":"\\u00e9","stream":true}'),
    ],
)
def test_add_include_usage(body: bytes, edited: bytes):
    assert add_include_usage(body) == edited


@pytest.mark.parametrize(
    ("body", "edited"),
    [
        (b'{"model":"openai/gpt-4o"}', b'{"model":"gpt-4o"}'),
        (b'{ "model" :\t"openai/openai/x" }', b'{ "model" :\t"openai/x" }'),
        (b'{"model":"gpt-4o"}', b'{"model":"gpt-4o"}'),
        (b'{"model":"openai\\/gpt-4o","a":1}', b'{"model":"gpt-4o","a":1}'),
        (b'{"tools":[{"model":"openai/a"}],"model":"openai/b"}', b'{"tools":[{"model":"openai/a"}],"model":"b"}'),
        (b'{"mod\\u0065l":"openai/b"}', b'{"mod\\u0065l":"b"}'),
        (b'{"a":"\\"model\\":\\"openai/x\\"","model":"openai/b"}', b'{"a":"\\"model\\":\\"openai/x\\"","model":"b"}'),
        (b'{"a":"model","model":"openai/b"}', b'{"a":"model","model":"b"}'),
        (b'{"a":1}', b'{"a":1}'),
        (b'{"a":"model"}', b'{"a":"model"}'),
    ],
)
def test_strip_vendor_prefix(body: bytes, edited: bytes):
    assert strip_vendor_prefix(body, "openai") == edited


def test_a_member_that_stands_twice_is_not_edited():
    with pytest.raises(DuplicateKey):
        add_include_usage(b'{"stream_options":{},"stream_options":null}')
    with pytest.raises(DuplicateKey):
        strip_vendor_prefix(b'{"model":"openai/a","model":"openai/b"}', "openai")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(['"model":', "model", "stream_options", "é\\u0041"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["model", "stream_options", "a", "\\", '"']), inner),
    max_leaves=6,
)


@given(
    st.dictionaries(st.sampled_from(["messages", "a", "é", '"', "\\", "stream"]), VALUES, max_size=5),
    st.booleans(),
    st.sampled_from([None, (",", ":"), (" ,\n", " :\t")]),
    st.randoms(),
)
@settings(deadline=None)
def test_edits_change_one_member_and_keep_every_other_byte(members: dict, ascii_only: bool, separators: tuple[str, str] | None, chance):
    told = list((members | {"model": "openai/gpt-4o"}).items())
    chance.shuffle(told)
    body = json.dumps(dict(told), ensure_ascii=ascii_only, separators=separators).encode()
    assert read_request(body).model == "openai/gpt-4o"
    stripped = strip_vendor_prefix(body, "openai")
    assert json.loads(stripped) == dict(told) | {"model": "gpt-4o"}
    assert len(stripped) == len(body) - len("openai/")
    added = add_include_usage(body)
    assert json.loads(added) == dict(told) | {"stream_options": {"include_usage": True}}
    assert added.replace(b'"stream_options":{"include_usage":true},', b"", 1) == body
