-- One row: what happened in a period.
select
    count(*) as calls,
    count(*) filter (where status between 200 and 299) as success,
    count(*) filter (where status not between 200 and 299) as failed,
    coalesce(sum(prompt_tokens), 0) as prompt_tokens,
    coalesce(sum(completion_tokens), 0) as completion_tokens,
    coalesce(sum(total_tokens), 0) as total_tokens,
    coalesce(sum(cached_tokens), 0) as cached_tokens,
    coalesce(sum(cache_write_tokens), 0) as cache_write_tokens,
    coalesce(sum(reasoning_tokens), 0) as reasoning_tokens,
    sum(cost_usd) as cost_usd,
    count(*) filter (where cost_usd is null) as unpriced_calls
from usage_priced
where /*scope*/ user_id = $user_id and ts >= $since and ts < $until /*.*/
