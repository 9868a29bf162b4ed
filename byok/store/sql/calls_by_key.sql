-- What came together in the period by user, vendor, model and key: what a call of each amounts to. In no order.
select
    user_id,
    vendor,
    model,
    key_id,
    count(*) as calls,
    count(*) filter (where status not between 200 and 299) as failed,
    coalesce(sum(total_tokens), 0)::bigint as total_tokens
from usage
where /*scope*/ user_id = $user_id and ts >= $since and ts < $until /*.*/
group by all
