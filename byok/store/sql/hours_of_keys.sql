-- Chosen hours by key: what an hour is compared with, and where what was more than usual came from. Chosen first, and only then priced. In no order.
with chosen as (
    select * from usage
    where /*scope*/ user_id = $user_id and ts >= $since and ts < $until /*.*/
        and epoch_us(ts) // 3600000000 in (select unnest($hours::bigint[]))
)
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
from /*chosen*/ chosen /*.*/
group by all
