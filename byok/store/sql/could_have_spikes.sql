-- Users of whom an hour from $asked_since on could be a spike, by what is cheap to know: the hour itself, what a call of its series amounted
-- to in the last two weeks, and the same hour (or the one beside it, for clock changes) of eight earlier weeks. Costs are worked out from
-- tokens there, with room for another mix. Whoever is left out has none.
with asked as (
    select epoch_us(ts) // 3600000000 as hour, user_id, vendor, model,
        count(*)::double as calls,
        (count(*) filter (where status not between 200 and 299))::double as failed,
        coalesce(sum(total_tokens), 0)::double as tokens,
        coalesce(sum(cost_usd), 0)::double as cost
    from /*records*/ usage_priced /*.*/
    where /*scope*/ user_id = $user_id and ts >= $since and ts < $until /*.*/ and ts >= $asked_since
    group by all
), series as (
    select user_id, vendor, model,
        coalesce(sum(total_tokens), 0)::double / count(*) as tokens_a_call,
        coalesce(sum(cost_usd), 0)::double / count(*) as cost_a_call
    from /*records*/ usage_priced /*.*/
    where /*scope*/ user_id = $user_id and ts >= $since and ts < $until /*.*/
        and ts >= $asked_since - interval 14 days and ts < $asked_since
    group by all
), large as (
    select asked.*, coalesce(tokens_a_call, 0) as tokens_a_call, coalesce(cost_a_call, 0) as cost_a_call
    from asked left join series using (user_id, vendor, model)
    where calls >= greatest($min_calls, $beyond * $calls_of_noise) or failed >= greatest($min_failed, $beyond * $calls_of_noise)
        or tokens >= greatest($min_tokens, $beyond * $calls_of_noise * coalesce(tokens_a_call, 0))
        or cost >= greatest($min_cost, $beyond * $calls_of_noise * coalesce(cost_a_call, 0))
), earlier as (
    select l.hour, l.user_id, l.vendor, l.model, (r.at - l.hour + 84 + 168 * 20) % 168 - 84 as shift, r.at,
        count(*)::double as calls,
        (count(*) filter (where r.status not between 200 and 299))::double as failed,
        coalesce(sum(r.total_tokens), 0)::double as tokens
    from (
        select epoch_us(ts) // 3600000000 as at, user_id, vendor, model, status, total_tokens from usage
        where /*scope*/ user_id = $user_id and ts >= $since and ts < $until /*.*/ and ts < $asked_since
            and (epoch_us(ts) // 3600000000) % 168 in (select unnest($hours_of_week::bigint[]))
    ) r
    join large l on r.user_id = l.user_id and r.vendor = l.vendor and r.model = l.model
        and (r.at - l.hour + 84 + 168 * 20) % 168 - 84 between -1 and 1
    group by all
), shifted as (
    select hour, user_id, vendor, model, shift,
        list_median(list_resize(list(calls), 8, 0)) as calls,
        list_median(list_resize(list(failed), 8, 0)) as failed,
        list_median(list_resize(list(tokens), 8, 0)) as tokens
    from earlier
    group by all
), usually as (
    select hour, user_id, vendor, model,
        case when count(*) = 3 then min(calls) else 0 end as calls,
        case when count(*) = 3 then min(failed) else 0 end as failed,
        case when count(*) = 3 then min(tokens) else 0 end as tokens
    from shifted
    group by all
)
select distinct l.user_id
from large l left join usually u on l.hour = u.hour and l.user_id = u.user_id and l.vendor = u.vendor and l.model = u.model
where (l.calls >= $min_calls and l.calls >= (1 + $beyond) * coalesce(u.calls, 0) + $beyond * $calls_of_noise)
    or (l.failed >= $min_failed and l.failed >= (1 + $beyond) * coalesce(u.failed, 0) + $beyond * $calls_of_noise)
    or (l.tokens >= $min_tokens and l.tokens >= (1 + $beyond) * coalesce(u.tokens, 0) + $beyond * $calls_of_noise * tokens_a_call)
    or (l.cost >= $min_cost and l.cost >=
        (1 + $beyond) / 2 * coalesce(u.tokens * cost_a_call / nullif(tokens_a_call, 0), 0) + $beyond * $calls_of_noise * cost_a_call)
