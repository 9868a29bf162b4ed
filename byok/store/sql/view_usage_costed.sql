-- Each record with its cost at the rates in force when it happened, and its parts; null where a rate or a count is not known. The arithmetic is
-- whole numbers of 1e-12 USD, rounded half even once, to 1e-9; byok.pricing.cost says the same in Python. Rates of whole 1e-9 USD (nearly all
-- are) and numbers that fit take the short way, which needs no rounding: 128 bits cost three times as much. So does a call whose price
-- depends on nothing but the day: only the others look up a step by the prompt's size and the minute of the week. Sums are sums of whole 1e-9
-- USD (`_nano`): a decimal per call would cost as much as all the rest. Few steps, each value named once: DuckDB plans every question anew,
-- and repeats what is named twice.
create or replace temp view usage_costed as
with parts as (
    select u.*, p.price_id, p.price_source as source, p.input_nano, p.output_nano, p.cached_more_nano, p.write_more_nano, p.weekly,
        least(coalesce(u.cached_tokens, 0), u.prompt_tokens) as cached,
        u.prompt_tokens < p.short_below and u.completion_tokens < 1000000000 as short
    from /*source*/ usage /*.*/ u
    left join usage_price_spans p
        on u.vendor = p.vendor and u.model = p.model and u.ts >= p.valid_from and u.ts < p.valid_until
), stepped as (
    select parts.*, least(coalesce(parts.cache_write_tokens, 0), parts.prompt_tokens - parts.cached) as written,
        s.input_pico, s.output_pico, s.cached_more_pico, s.write_more_pico, s.request_pico
    from parts
    left join usage_price_steps s
        on s.price_id = case when not parts.short then parts.price_id end
        and parts.prompt_tokens >= s.prompt_from and parts.prompt_tokens < s.prompt_until
        and case when not parts.short and parts.weekly then (epoch_us(parts.ts) // 60000000 + 4320) % 10080 else 0 end >= s.minute_from
        and case when not parts.short and parts.weekly then (epoch_us(parts.ts) // 60000000 + 4320) % 10080 else 0 end < s.minute_until
), sums as (
    select *,
        case when not short then prompt_tokens::hugeint * input_pico + cached::hugeint * cached_more_pico
            + written::hugeint * write_more_pico + completion_tokens::hugeint * output_pico + request_pico end as pico
    from stepped
), costed as (
    select *,
        case when short then prompt_tokens * input_nano + cached * cached_more_nano + written * write_more_nano
            + completion_tokens * output_nano
        else try_cast((pico + 499 + ((pico // 1000) & 1)) // 1000 as decimal(18, 0))::bigint end as nano
    from sums
)
select
    /*more*/ /*.*/
    ts, user_id, key_id, vendor, model, endpoint, prompt_tokens, completion_tokens, total_tokens, cached_tokens, cache_write_tokens,
    reasoning_tokens, status, usage_source, latency_ms, ttft_ms,
    usd_of_nano(nano) as cost_usd,
    case when nano is not null then source end as price_source,
    nano as cost_nano,
    -- the parts; what they leave of the cost is that of the uncached input, with what the rounding of the others leaves over
    case when nano is not null then case when short then cached * (input_nano + cached_more_nano)
        else nano_of_pico(cached::hugeint * (input_pico + cached_more_pico)) end end as cached_nano,
    case when nano is not null then case when short then written * (input_nano + write_more_nano)
        else nano_of_pico(written::hugeint * (input_pico + write_more_pico)) end end as written_nano,
    case when nano is not null then case when short then completion_tokens * output_nano
        else nano_of_pico(completion_tokens::hugeint * output_pico) end end as output_nano,
    case when nano is not null then case when short then 0 else nano_of_pico(request_pico::hugeint) end end as request_nano,
    -- what the same call would have cost more without any cache
    case when nano is not null then case when short then -cached * cached_more_nano - written * write_more_nano
        else nano_of_pico(-cached::hugeint * cached_more_pico - written::hugeint * write_more_pico) end end as saved_nano
from costed
