-- The remembered sums of a file without the users.
select ts, vendor, model, status,
    sum(prompt_tokens)::bigint as prompt_tokens,
    sum(completion_tokens)::bigint as completion_tokens,
    sum(total_tokens)::bigint as total_tokens,
    sum(cached_tokens)::bigint as cached_tokens,
    sum(cache_write_tokens)::bigint as cache_write_tokens,
    sum(reasoning_tokens)::bigint as reasoning_tokens,
    sum(calls)::bigint as calls,
    sum(cost_usd)::decimal(18, 9) as cost_usd,
    sum(unpriced_calls)::bigint as unpriced_calls
from /*sums*/ sums_of_file /*.*/
group by all
order by ts
