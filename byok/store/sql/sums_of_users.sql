-- The sums of each user's records of a file within bounds of time, calls that succeeded and others apart (as if of status 200 and 500).
select
    $since::timestamptz as ts,
    user_id,
    null::varchar as vendor,
    null::varchar as model,
    case when status between 200 and 299 then 200 when status not between 200 and 299 then 500 end::smallint as status,
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
where ts >= $since and ts < $until
group by all
