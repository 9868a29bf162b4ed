"""The dashboard's frame: who is signed in, which pages there are, and the bar above them."""

import streamlit as st

from byok.ui import bar, filters, saved, session, states, step_back, theme

st.set_page_config(page_title="BYOK", page_icon=theme.MARK, layout="wide")

st.logo(theme.WORDMARK, icon_image=theme.MARK)

overview = st.Page("pages/overview.py", title="Overview", icon=":material/monitoring:", default=True)
explore = st.Page("pages/explore.py", title="Explore", icon=":material/query_stats:", url_path="explore")
costs = st.Page("pages/costs.py", title="Costs", icon=":material/payments:", url_path="costs")
reliability = st.Page("pages/reliability.py", title="Reliability", icon=":material/heart_check:", url_path="reliability")
sql = st.Page("pages/sql.py", title="SQL", icon=":material/database:", url_path="sql")
exports = st.Page("pages/exports.py", title="Exports & API", icon=":material/download:", url_path="exports")
reconcile = st.Page("pages/reconcile.py", title="Reconcile", icon=":material/balance:", url_path="reconcile")
what_we_store = st.Page("pages/what_we_store.py", title="What we store", icon=":material/visibility:", url_path="what_we_store")
alerts = st.Page("pages/alerts.py", title="Alerts & reports", icon=":material/notifications:", url_path="alerts")
keys = st.Page("pages/keys.py", title="Keys & budgets", icon=":material/key:", url_path="keys")
account = st.Page("pages/account.py", title="Account", icon=":material/person:", url_path="account")
retention = st.Page("pages/retention.py", title="Retention & deletion", icon=":material/auto_delete:", url_path="retention")
settings = st.Page("pages/settings.py", title="Settings", icon=":material/tune:", url_path="settings")
system = st.Page("pages/system.py", title="System", icon=":material/monitor_heart:", url_path="system")
users = st.Page("pages/users.py", title="Users", icon=":material/group:", url_path="users")

sections = {
    "Usage": [overview, explore, costs, reliability],
    "Data": [sql, exports, reconcile, what_we_store],
    "Manage": [alerts, keys, retention, settings, account],
}
admins = {"Admin": [users, system]}
user = session.current_user()
if user is None:
    session.stop_at([page for pages in (sections | admins).values() for page in pages])

page = st.navigation(sections | (admins if user.admin else {}), expanded=True)
st.set_page_config(page_title=f"{page.title} · BYOK")  # tabs, bookmarks and the history tell pages apart
with st.sidebar:
    session.account(user)
    session.end_in_time(user)
states.demo_banner()
step_back.keep_address()
# Pages with the bar, and what each makes use of beside period and filters.
parts: dict[str, tuple[bar.Part, ...]] = {
    overview.url_path: ("summed", "by", "cmp", "grain"),
    explore.url_path: ("metric", "by", "by2", "cmp", "grain"),
    costs.url_path: ("by", "cmp", "grain"),
    reliability.url_path: ("cmp", "grain"),
    exports.url_path: (),
}
heading = st.container(horizontal=True, vertical_alignment="bottom", horizontal_alignment="distribute")
heading.title(page.title, anchor=False, width="content")
if page.url_path in parts:
    saved.bring(user)
    bar.draw(user, parts[page.url_path])
    chosen = filters.current(user)
    states.whose(chosen)
    states.freshness(user, chosen, compared="cmp" in parts[page.url_path])
    with heading.container(horizontal=True, width="content", gap="small"):
        saved.draw(user, page.url_path)
else:
    bar.rest()
page.run()
