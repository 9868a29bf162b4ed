-- First and last record, and how many.
select min(ts) as oldest, max(ts) as newest, count(*) as rows
from usage
where /*scope*/ user_id = $user_id and ts >= $since and ts < $until /*.*/
