"""The browser's step back: the address that it brings is the one that stays."""

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx


def keep_address() -> None:
    """Say the address of a step back or forward once more: a run still under way may have written the one that was left."""
    run = get_script_run_ctx()
    if run is not None and run.is_history_navigation:
        st.query_params.update()
