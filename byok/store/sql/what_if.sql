-- The selection as if other models had answered, or another share of the input had come from a cache: call by call, at the rates of the moment in
-- which each call was made. One row per vendor and model that did answer.
with swapped as (
    select u.* replace (
            coalesce(m.to_vendor, u.vendor) as vendor,
            coalesce(m.to_model, u.model) as model,
            case when $cached_share::double is null then u.cached_tokens
                else floor(u.prompt_tokens::decimal(27, 0) * $cached_share::decimal(10, 9))::bigint end as cached_tokens,
            case when $cached_share::double is null then u.cache_write_tokens end as cache_write_tokens
        ),
        u.vendor as was_vendor, u.model as was_model, u.cost_usd as was_usd
    from usage_priced u
    left join (
        select unnest($from_vendors::varchar[]) as from_vendor, unnest($from_models::varchar[]) as from_model,
            unnest($to_vendors::varchar[]) as to_vendor, unnest($to_models::varchar[]) as to_model
    ) m on u.vendor = m.from_vendor and u.model = m.from_model
    where /*scope*/ user_id = $user_id and ts >= $since and ts < $until /*.*/
), repriced as (
    /*repriced*/ select vendor as was_vendor, model as was_model, cost_usd as was_usd, * from usage_costed /*.*/
)
select was_vendor as vendor, was_model as model, vendor as to_vendor, model as to_model,
    count(*) as calls,
    coalesce(sum(total_tokens), 0) as total_tokens,
    sum(was_usd) as cost_usd,
    sum(cost_usd) as what_if_usd,
    -- of the calls whose cost is known both ways
    sum(cost_usd - was_usd) as difference_usd,
    count(*) filter (where cost_usd is null or was_usd is null) as unpriced_calls
from repriced
group by all
order by was_vendor, was_model
