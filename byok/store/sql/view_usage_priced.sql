-- Each record with its cost at the rates in force when it happened; null where a rate or a count is not known. The arithmetic is whole numbers
-- of 1e-12 USD, rounded half even once, to 1e-9; byok.pricing.cost says the same in Python. Numbers that fit take the short way: 128 bits cost
-- three times as much.
create or replace temp view usage_priced as
with parts as (
    select u.*, p.price_source as source, p.input_pico, p.output_pico,
        coalesce(p.cached_pico, p.input_pico) - p.input_pico as cached_more,
        coalesce(p.write_pico, p.input_pico) - p.input_pico as write_more,
        least(coalesce(u.cached_tokens, 0), u.prompt_tokens) as cached,
        least(coalesce(u.cache_write_tokens, 0), u.prompt_tokens - least(coalesce(u.cached_tokens, 0), u.prompt_tokens)) as written,
        p.moderate and u.prompt_tokens < 1000000000 and u.completion_tokens < 1000000000 as short
    from usage u
    left join usage_price_spans p
        on u.vendor = p.vendor and u.model = p.model and u.ts >= p.valid_from and u.ts < p.valid_until
), sums as (
    select *,
        case when short then prompt_tokens * input_pico + cached * cached_more + written * write_more + completion_tokens * output_pico end as pico,
        case when not short then prompt_tokens::hugeint * input_pico + cached::hugeint * cached_more + written::hugeint * write_more
            + completion_tokens::hugeint * output_pico end as long_pico
    from parts
), halves_up as (
    select *, (pico + 500) // 1000 as up, (long_pico + 500) // 1000 as long_up
    from sums
), rounded as (
    select *,
        up - case when up * 1000 = pico + 500 then up & 1 else 0 end as nano,
        long_up - case when long_up * 1000 = long_pico + 500 then long_up & 1 else 0 end as long_nano
    from halves_up
), costed as (
    select *, coalesce(nano::decimal(18, 0), try_cast(long_nano as decimal(18, 0))) * 0.000000001::decimal(9, 9) as usd
    from rounded
)
select
    ts, user_id, key_id, vendor, model, endpoint, prompt_tokens, completion_tokens, total_tokens, cached_tokens, cache_write_tokens,
    reasoning_tokens, status, usage_source, latency_ms, ttft_ms,
    usd::decimal(18, 9) as cost_usd,
    case when usd is not null then source end as price_source
from costed
