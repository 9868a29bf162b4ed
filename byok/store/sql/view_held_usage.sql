-- The same in the columns of the record.
create or replace temp view usage as
select
    ts, user_id, key_id, vendor, model, endpoint, prompt_tokens, completion_tokens, total_tokens, cached_tokens, cache_write_tokens,
    reasoning_tokens, status, usage_source, latency_ms, ttft_ms
from usage_costed
