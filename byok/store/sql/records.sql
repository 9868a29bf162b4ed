-- The records themselves, in order of time.
select *
from /*records*/ usage /*.*/
where /*scope*/ user_id = $user_id and ts >= $since and ts < $until /*.*/
order by ts
