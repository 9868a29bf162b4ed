-- Every series (a user's calls of one model) hour by hour, in UTC: what a search for unusual hours reads. In no order.
select
    make_timestamptz(epoch_us(ts) // 3600000000 * 3600000000) as hour,
    user_id,
    vendor,
    model,
    count(*) as calls,
    count(*) filter (where status not between 200 and 299) as failed,
    coalesce(sum(total_tokens), 0)::bigint as total_tokens
    /*cost*/ /*.*/
from /*records*/ usage /*.*/
where /*scope*/ user_id = $user_id and ts >= $since and ts < $until /*.*/
group by all
