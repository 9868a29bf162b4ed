-- One user's records of a file within a day, each as sums of one call.
select
    ts, user_id, vendor, model, status,
    prompt_tokens, completion_tokens, total_tokens, cached_tokens, cache_write_tokens, reasoning_tokens,
    1 as calls,
    cost_nano, cached_nano, written_nano, output_nano, request_nano, saved_nano,
    (cost_nano is null)::integer as unpriced_calls
from usage_costed
where user_id = $user_id and ts >= $since and ts < $until
