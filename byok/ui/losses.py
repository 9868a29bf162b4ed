"""Calls that the gateway answered but could not record, as it counts them itself: the dashboard must not pass over them."""

import re
from functools import cache

import httpx
import streamlit as st

_LOST = re.compile(r"^byok_records_lost_total (\d+(?:\.\d+)?(?:e\+\d+)?)$", re.MULTILINE)


@st.cache_data(ttl=10, show_spinner=False)  # the same figure for everybody, and nobody's own
def lost(gateway_url: str) -> int:
    """Records lost since the gateway started; 0 when it cannot be asked."""
    try:
        page = _client().get(f"{gateway_url}/metrics").text
    except (httpx.HTTPError, httpx.InvalidURL):
        return 0
    found = _LOST.search(page)
    return int(float(found[1])) if found else 0


@cache
def _client() -> httpx.Client:
    """One for all: each new one reads every root certificate, 50 ms of processor time."""
    return httpx.Client(timeout=0.5)
