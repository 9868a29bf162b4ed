-- Each record with its cost at the rates in force when it happened; null where a rate or a count is not known. The arithmetic is whole numbers
-- of 1e-12 USD, rounded half even once, to 1e-9; byok.pricing.cost says the same in Python.
create or replace temp view usage_priced as
with parts as (
    select u.*, p.price_source as source, p.input_pico, p.output_pico, p.cached_pico, p.write_pico,
        u.prompt_tokens::hugeint as prompt,
        least(coalesce(u.cached_tokens, 0), u.prompt_tokens)::hugeint as cached,
        least(coalesce(u.cache_write_tokens, 0), u.prompt_tokens - least(coalesce(u.cached_tokens, 0), u.prompt_tokens))::hugeint as written
    from usage u
    left join usage_price_spans p
        on u.vendor = p.vendor and u.model = p.model and u.ts >= p.valid_from and u.ts < p.valid_until
), pico as (
    select *,
        prompt * input_pico
            + cached * (coalesce(cached_pico, input_pico) - input_pico)
            + written * (coalesce(write_pico, input_pico) - input_pico)
            + completion_tokens::hugeint * output_pico as pico
    from parts
), costed as (
    select *,
        try_cast(pico // 1000 + case when pico % 1000 > 500 or (pico % 1000 = 500 and (pico // 1000) % 2 = 1) then 1 else 0 end as decimal(18, 0))
            * 0.000000001::decimal(9, 9) as usd
    from pico
)
select
    ts, user_id, key_id, vendor, model, endpoint, prompt_tokens, completion_tokens, total_tokens, cached_tokens, cache_write_tokens,
    reasoning_tokens, status, usage_source, latency_ms, ttft_ms,
    usd::decimal(18, 9) as cost_usd,
    case when usd is not null then source end as price_source
from costed
