"""What the dashboard is measured against: the same three charts on a bare Streamlit page, without sign-in, filters or cards."""

import os

import duckdb
import streamlit as st


@st.cache_data
def days() -> list[tuple[str, int, int]]:
    query = """
        select strftime(make_timestamp(epoch_us(ts)), '%Y-%m-%d') as day, count(*), count(*) filter (status >= 300)
        from read_parquet($files, hive_partitioning = false)
        where user_id = $user and epoch_us(ts) >= epoch_us(timestamp '2026-10-02 00:00:00') group by all order by day
    """
    with duckdb.connect() as db:
        found = db.execute(query, {"files": os.environ["BARE_FILES"], "user": os.environ["BARE_USER"]})
        return [(str(day), int(calls), int(failed)) for day, calls, failed in found.fetchall()]


st.title("Bare")
st.segmented_control("Period", ["7d", "30d"], default="30d")
rows = days()
x = [day for day, _, _ in rows]
for number, (kind, values) in enumerate((("bar", [r[1] for r in rows]), ("scatter", [r[2] for r in rows]), ("bar", [r[2] for r in rows]))):
    figure = {"data": [{"type": kind, "x": x, "y": values}], "layout": {"height": 240}}
    st.plotly_chart(figure, key=f"chart-{number}", theme=None)
