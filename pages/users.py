"""Users: who may call, for admins."""

from byok.ui import members, session, states

admin = session.require_admin()

with states.Card(key="users-card"):
    members.draw(admin)
