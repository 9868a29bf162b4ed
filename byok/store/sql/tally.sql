-- Everyone's records as sums of calls that have one price, and what they cost. Where nothing is rounded, the sum of the tokens times the rate is the
-- sum of the costs to the last digit, so that a rate is looked up per call but multiplied per sum. Other calls are priced one by one.
with tallied as (
    select
        /*groups*/ vendor, model, /*.*/
        price_id,
        short,
        sum(prompt_tokens) as prompt_tokens,
        sum(completion_tokens) as completion_tokens,
        sum(total_tokens) as total_tokens,
        sum(cached_tokens) as cached_tokens,
        sum(cache_write_tokens) as cache_write_tokens,
        sum(reasoning_tokens) as reasoning_tokens,
        sum(cached)::hugeint as cached,
        sum(written)::hugeint as written,
        sum(odd_nano) as odd_nano,
        count(odd_nano) as odd_calls,
        count(*) as calls,
        count(*) filter (where status between 200 and 299) as success
    from usage_costed
    where /*scope*/ ts >= $since and ts < $until /*.*/
    group by all
)
select t.*,
    case when short then prompt_tokens * input_nano + cached * cached_more_nano + written * write_more_nano + completion_tokens * output_nano
        else odd_nano end as cost_nano,
    case when short then 0 else calls - odd_calls end as unpriced_calls
from tallied t
left join usage_price_spans p on t.price_id = p.price_id
