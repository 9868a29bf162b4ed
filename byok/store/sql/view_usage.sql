-- The records a plan still keeps, in the columns of the record. Rows of unknown users and rows past retention do not pass the join.
create or replace temp view usage as
select r.*
from usage_rows r
join usage_kept k on r.user_id = k.user_id and r.ts >= k.keep_after
