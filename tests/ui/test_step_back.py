"""After a step back the address that it brought is said once more; at no other time, for the visitor may already be further."""

from types import SimpleNamespace

import pytest

from byok.ui import step_back


@pytest.mark.parametrize(
    ("run", "said"), [(None, 0), (SimpleNamespace(is_history_navigation=False), 0), (SimpleNamespace(is_history_navigation=True), 1)]
)
def test_only_a_step_back_says_its_address_again(monkeypatch, run, said):
    addresses = []
    monkeypatch.setattr(step_back, "get_script_run_ctx", lambda: run)
    monkeypatch.setattr(step_back.st, "query_params", SimpleNamespace(update=lambda: addresses.append("said")))
    step_back.keep_address()
    assert len(addresses) == said
