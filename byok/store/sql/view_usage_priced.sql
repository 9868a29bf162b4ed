-- Each record with its cost at the rates in force when it happened; null where a rate or a count is not known. The arithmetic is whole numbers
-- of 1e-12 USD, rounded half even once, to 1e-9; byok.pricing.cost says the same in Python. Rates of whole 1e-9 USD (nearly all are) and numbers
-- that fit take the short way, which needs no rounding: 128 bits cost three times as much. Few steps, each value named once: DuckDB plans
-- every question anew, and repeats what is named twice.
create or replace temp view usage_priced as
with parts as (
    select u.*, p.price_source as source, p.input_pico, p.output_pico, p.input_nano, p.output_nano, p.cached_more_nano, p.write_more_nano,
        p.cached_more_pico, p.write_more_pico,
        least(coalesce(u.cached_tokens, 0), u.prompt_tokens) as cached,
        p.nano_will_do and u.prompt_tokens < 1000000000 and u.completion_tokens < 1000000000 as short
    from usage u
    left join usage_price_spans p
        on u.vendor = p.vendor and u.model = p.model and u.ts >= p.valid_from and u.ts < p.valid_until
), sums as (
    select *,
        case when not short then prompt_tokens::hugeint * input_pico + cached::hugeint * cached_more_pico
            + least(coalesce(cache_write_tokens, 0), prompt_tokens - cached)::hugeint * write_more_pico
            + completion_tokens::hugeint * output_pico end as pico
    from parts
), costed as (
    select *,
        case when short then (prompt_tokens * input_nano + cached * cached_more_nano
            + least(coalesce(cache_write_tokens, 0), prompt_tokens - cached) * write_more_nano
            + completion_tokens * output_nano)::decimal(18, 0)
        else try_cast((pico + 499 + ((pico // 1000) & 1)) // 1000 as decimal(18, 0)) end * 0.000000001::decimal(9, 9) as usd
    from sums
)
select
    ts, user_id, key_id, vendor, model, endpoint, prompt_tokens, completion_tokens, total_tokens, cached_tokens, cache_write_tokens,
    reasoning_tokens, status, usage_source, latency_ms, ttft_ms,
    usd::decimal(18, 9) as cost_usd,
    case when usd is not null then source end as price_source
from costed
