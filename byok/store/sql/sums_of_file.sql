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
    sum(cost_nano)::bigint as cost_nano,
    sum(cached_nano)::bigint as cached_nano,
    sum(written_nano)::bigint as written_nano,
    sum(output_nano)::bigint as output_nano,
    sum(request_nano)::bigint as request_nano,
    sum(saved_nano)::bigint as saved_nano,
    count(*) filter (where cost_nano is null) as unpriced_calls
from usage_costed
group by all
order by user_id, ts
