-- The records themselves, in no order: sorting a million of them would cost more than all the rest.
select /*columns*/ * /*.*/
from /*records*/ usage /*.*/
where /*scope*/ user_id = $user_id and ts >= $since and ts < $until /*.*/
