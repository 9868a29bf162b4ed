-- The sums of a file that are remembered: per step of time, vendor, model and status; a user of `$busy` apart, all others together.
select
    make_timestamptz(epoch_us(ts) // ($step_s::bigint * 1000000) * ($step_s::bigint * 1000000)) as ts,
    case when user_id in (select unnest($busy::varchar[])) then user_id end as user_id,
    vendor,
    model,
    status,
    coalesce(sum(prompt_tokens), 0)::bigint as prompt_tokens,
    coalesce(sum(completion_tokens), 0)::bigint as completion_tokens,
    coalesce(sum(total_tokens), 0)::bigint as total_tokens,
    coalesce(sum(cached_tokens), 0)::bigint as cached_tokens,
    coalesce(sum(cache_write_tokens), 0)::bigint as cache_write_tokens,
    coalesce(sum(reasoning_tokens), 0)::bigint as reasoning_tokens,
    count(*) as calls,
    sum(cost_usd)::decimal(18, 9) as cost_usd,
    count(*) filter (where cost_usd is null) as unpriced_calls
from usage_priced
group by all
order by user_id, ts
