-- Each record with its cost and where the price comes from.
create or replace temp view usage_priced as
select
    ts, user_id, key_id, vendor, model, endpoint, prompt_tokens, completion_tokens, total_tokens, cached_tokens, cache_write_tokens,
    reasoning_tokens, status, usage_source, latency_ms, ttft_ms, cost_usd, price_source
from usage_costed
