-- Who has how many rows in a file, and since when.
select user_id, count(*) as rows, min(ts) as first_ts
from usage_rows
group by user_id
order by user_id
