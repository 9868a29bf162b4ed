"""A message for a Slack incoming webhook. Reference: https://docs.slack.dev/messaging/formatting-message-text"""

import json
import re
from collections.abc import Iterable

from byok.accounts.key_vault import Secret
from byok.notify import outgoing
from byok.notify.findings import Words, plain
from byok.notify.outcome import Outcome

_LONGEST = 2900  # a section takes 3,000 characters
# An e-mail at such a host stays readable; the bare words would call people.
_CALLS = re.compile(r"@(?=(?:here|channel|everyone|group)\b(?![.\w-]*\.\w))", re.IGNORECASE)


def message(told: Words) -> dict[str, object]:
    """`{"text", "blocks"}`: texts are plain (no markup of theirs counts), and can mention nobody."""
    text = escape(told.text)
    link = f"<{escape(told.url)}|Open the chart>"
    section = {"type": "section", "text": {"type": "plain_text", "text": text[:_LONGEST], "emoji": False}}
    return {"text": text, "blocks": [section, {"type": "context", "elements": [{"type": "mrkdwn", "text": link}]}]}


def escape(value: str) -> str:
    """A value as Slack shows it letter by letter.

    >>> escape("a&b <!channel> @here")
    'a&amp;b &lt;!channel&gt; @\\u200bhere'
    """
    safe = plain(value).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _CALLS.sub("@\u200b", safe)


def send(url: Secret, told: Words, *, hosts: Iterable[str]) -> Outcome:
    """Post it. Slack answers 200, 429 with Retry-After, or 4xx when the webhook is gone."""
    body = json.dumps(message(told)).encode()
    return outgoing.post(url.reveal(), body, {"content-type": "application/json"}, hosts=hosts)
