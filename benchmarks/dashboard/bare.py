"""What the dashboard is measured against: the same three charts on a bare Streamlit page, without sign-in, filters or cards."""

import os

import duckdb
import streamlit as st


@st.cache_data
def days() -> list[tuple[str, int, int]]:
    where = "user_id = $user and ts >= (select max(ts) from usage_files) - interval 30 day"
    with duckdb.connect() as db:
        db.execute(f"create view usage_files as from read_parquet('{os.environ['BARE_FILES']}', hive_partitioning = false)")
        found = db.execute(
            f"select ts::date::varchar, count(*), count(*) filter (status >= 300) from usage_files where {where} group by 1 order by 1",
            {"user": os.environ["BARE_USER"]},
        )
        return [(str(day), int(calls), int(failed)) for day, calls, failed in found.fetchall()]


st.title("Bare")
st.segmented_control("Period", ["7d", "30d"], default="30d")
rows = days()
x = [day for day, _, _ in rows]
for number, (kind, values) in enumerate((("bar", [r[1] for r in rows]), ("scatter", [r[2] for r in rows]), ("bar", [r[2] for r in rows]))):
    figure = {"data": [{"type": kind, "x": x, "y": values}], "layout": {"height": 240}}
    st.plotly_chart(figure, key=f"chart-{number}", theme=None)
