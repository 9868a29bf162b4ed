-- The remembered sums of a file without the users.
select ts, vendor, model, status,
    sum(prompt_tokens)::bigint as prompt_tokens,
    sum(completion_tokens)::bigint as completion_tokens,
    sum(total_tokens)::bigint as total_tokens,
    sum(cached_tokens)::bigint as cached_tokens,
    sum(cache_write_tokens)::bigint as cache_write_tokens,
    sum(reasoning_tokens)::bigint as reasoning_tokens,
    sum(calls)::bigint as calls,
    sum(cost_nano)::bigint as cost_nano,
    sum(cached_nano)::bigint as cached_nano,
    sum(written_nano)::bigint as written_nano,
    sum(output_nano)::bigint as output_nano,
    sum(request_nano)::bigint as request_nano,
    sum(saved_nano)::bigint as saved_nano,
    sum(unpriced_calls)::bigint as unpriced_calls
from /*sums*/ sums_of_file /*.*/
group by all
order by ts
