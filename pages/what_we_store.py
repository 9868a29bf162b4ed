"""What we store: every column of the record, as the recording room writes it, and what is never written."""

from datetime import timedelta

import streamlit as st

from byok import in_words, services
from byok.store import questions
from byok.store.scope import Scope
from byok.ui import session, states
from byok.usage import COLUMNS

NEVER = (
    "Prompts, messages, instructions and system texts",
    "Answers, completions and streamed text",
    "Images, audio, files and any other payload",
    "Tool names, tool arguments and tool results",
    "Your vendor keys in readable form (they are encrypted, and only the gateway opens them)",
    "Headers, query strings and addresses of your clients",
)

user = session.require_user()
st.markdown("One record per call that reaches a vendor, with these columns and no other. None of them could hold a text of yours.")


def newest_record() -> dict[str, object]:
    newest = states.newest_of(user)
    if newest is None:
        return {}
    scope = Scope(user_id=user.id, since=newest, until=newest + timedelta(microseconds=1))
    rows = [row for batch in questions.records(services.current().engine, scope) for row in batch.to_pylist()]
    return rows[-1] if rows else {}


example = newest_record()
heading = "Your newest record" if example else "Example"
with states.Card("Stored"):
    st.table(
        [
            {
                "Column": f"**{in_words.literal(column.name)}**",
                "Meaning": column.meaning,
                "Type": column.type,
                heading: in_words.literal(in_words.cell(example[column.name]) if example else column.example),
            }
            for column in COLUMNS
        ],
        hide_index=True,
    )
    if not example:
        st.caption("The example is invented. After your first call, your own newest record stands here.")

left, right = st.columns(2)
with states.Card("Never stored", column=left):
    st.markdown("\n".join(f"- {line}" for line in NEVER))
with states.Card("For how long", column=right):
    st.markdown(
        f"Your plan ({user.plan}) keeps a record for {in_words.plural(user.retention_days, 'day')}. After that it is invisible at once "
        "and deleted from every file within a day."
    )
    st.markdown("Records lie on this installation's own disk, or in the bucket that its operator named. They are sent nowhere else.")
    st.page_link("pages/exports.py", label="Take your records with you", icon=":material/download:")
