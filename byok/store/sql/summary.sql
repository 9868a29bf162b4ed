-- One row: what happened in a period.
select
    /*calls*/ count(*) /*.*/ as calls,
    /*success*/ count(*) filter (where status between 200 and 299) /*.*/ as success,
    /*failed*/ count(*) filter (where status not between 200 and 299) /*.*/ as failed,
    coalesce(sum(prompt_tokens), 0) as prompt_tokens,
    coalesce(sum(completion_tokens), 0) as completion_tokens,
    coalesce(sum(total_tokens), 0) as total_tokens,
    coalesce(sum(cached_tokens), 0) as cached_tokens,
    coalesce(sum(cache_write_tokens), 0) as cache_write_tokens,
    coalesce(sum(reasoning_tokens), 0) as reasoning_tokens,
    /*cost_sum*/ sum(cost_usd) /*.*/ as cost_usd,
    /*unpriced*/ count(*) filter (where cost_usd is null) /*.*/ as unpriced_calls
from /*records*/ usage_priced /*.*/
where /*scope*/ user_id = $user_id and ts >= $since and ts < $until /*.*/
