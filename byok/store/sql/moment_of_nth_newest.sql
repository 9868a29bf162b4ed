-- When the record at a place was made; the newest has place 0.
select ts
from usage
where /*scope*/ user_id = $user_id and ts >= $since and ts < $until /*.*/
order by ts desc
limit 1 offset $place
