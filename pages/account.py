"""Account: where you are signed in, which access tokens are yours, your password, and what else opens the account."""

from byok.ui import password, session, sign_ons, states, tokens, visits

user = session.require_user()

with states.Card(key="sessions-card"):
    visits.draw(user)
with states.Card(key="tokens-card"):
    tokens.draw(user)
with states.Card("Password", key="password-card"):
    password.draw(user)
if sign_ons.is_there(user):
    with states.Card(key="sign-on-card"):
        sign_ons.draw(user)
