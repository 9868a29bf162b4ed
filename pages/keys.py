"""Keys & budgets: the vendor keys that the gateway uses for you, your months' budgets, and your programs' access tokens."""

from byok.ui import budgeting, session, states, tokens, vault

user = session.require_user()

with states.Card(key="keys-card"):
    vault.draw(user)
with states.Card(key="budgets-card"):
    budgeting.draw(user)
with states.Card(key="tokens-card"):
    tokens.draw(user)
