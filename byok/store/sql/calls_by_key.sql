-- What came together in the period by user, vendor, model and key, but in some hours of the week that follow each other: what a call amounts to
-- beside those. `$same_from` is one of their first, before the period. In no order.
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
    and (epoch_us(ts) // 3600000000 - $same_from::bigint) % 168 >= $same_hours::bigint
group by all
