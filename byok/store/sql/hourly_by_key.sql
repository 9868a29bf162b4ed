-- Every user's hours by vendor, model and key, in UTC: what all series of a search for unusual hours are summed up from. In no order.
select
    make_timestamptz(epoch_us(ts) // 3600000000 * 3600000000) as hour,
    user_id,
    vendor,
    model,
    key_id,
    count(*) as calls,
    count(*) filter (where status not between 200 and 299) as failed,
    coalesce(sum(total_tokens), 0)::bigint as total_tokens
    /*cost*/ /*.*/
from /*records*/ usage /*.*/
where /*scope*/ user_id = $user_id and ts >= $since and ts < $until /*.*/
group by all
