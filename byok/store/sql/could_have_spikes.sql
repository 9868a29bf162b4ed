-- Users of whom an hour from $asked_since on could be a spike, by what is cheap to know: the hour itself, what a call of its series amounted
-- to in the last two weeks, and the same hour (or the one beside it, for clock changes) of eight earlier weeks. A series is a user's calls of
-- one model, by one key, or all of them; what it is not of is empty. Costs are worked out from tokens there, with room for another mix.
-- Whoever is left out has none.
with asked as (
    select hour, user_id, coalesce(vendor, '') as of_vendor, coalesce(model, '') as of_model, coalesce(key_id, '') as of_key,
        count(*)::double as calls,
        (count(*) filter (where status not between 200 and 299))::double as failed,
        coalesce(sum(total_tokens), 0)::double as tokens,
        coalesce(sum(cost_usd), 0)::double as cost
    from (
        select epoch_us(ts) // 3600000000 as hour, user_id, vendor, model, key_id, status, total_tokens, cost_usd
        from /*records*/ usage_priced /*.*/
        where /*scope*/ user_id = $user_id and ts >= $since and ts < $until /*.*/ and ts >= $asked_since
    ) last_hours
    group by grouping sets ((hour, user_id, vendor, model), (hour, user_id, vendor, key_id), (hour, user_id))
), series as (
    select user_id, coalesce(vendor, '') as of_vendor, coalesce(model, '') as of_model, coalesce(key_id, '') as of_key,
        coalesce(sum(total_tokens), 0)::double / count(*) as tokens_a_call,
        coalesce(sum(cost_usd), 0)::double / count(*) as cost_a_call
    from /*records*/ usage_priced /*.*/
    where /*scope*/ user_id = $user_id and ts >= $since and ts < $until /*.*/
        and ts >= $asked_since - interval 14 days and ts < $asked_since
    group by grouping sets ((user_id, vendor, model), (user_id, vendor, key_id), (user_id))
), large as (
    select asked.*, coalesce(tokens_a_call, 0) as tokens_a_call, coalesce(cost_a_call, 0) as cost_a_call
    from asked left join series using (user_id, of_vendor, of_model, of_key)
    where calls >= greatest($min_calls, $beyond * $calls_of_noise) or failed >= greatest($min_failed, $beyond * $calls_of_noise)
        or tokens >= greatest($min_tokens, $beyond * $calls_of_noise * coalesce(tokens_a_call, 0))
        or cost >= greatest($min_cost, $beyond * $calls_of_noise * coalesce(cost_a_call, 0))
), earlier as (
    select l.hour, l.user_id, l.of_vendor, l.of_model, l.of_key, (r.past - l.hour + 84 + 168 * 20) % 168 - 84 as shift, r.past,
        r.calls, r.failed, r.tokens
    from (
        select past, user_id, coalesce(vendor, '') as of_vendor, coalesce(model, '') as of_model, coalesce(key_id, '') as of_key,
            count(*)::double as calls,
            (count(*) filter (where status not between 200 and 299))::double as failed,
            coalesce(sum(total_tokens), 0)::double as tokens
        from (
            select epoch_us(ts) // 3600000000 as past, user_id, vendor, model, key_id, status, total_tokens from usage
            where /*scope*/ user_id = $user_id and ts >= $since and ts < $until /*.*/ and ts < $asked_since
                and (epoch_us(ts) // 3600000000) % 168 in (select unnest($hours_of_week::bigint[]))
        ) same_hours
        group by grouping sets ((past, user_id, vendor, model), (past, user_id, vendor, key_id), (past, user_id))
    ) r
    join large l on r.user_id = l.user_id and r.of_vendor = l.of_vendor and r.of_model = l.of_model and r.of_key = l.of_key
        and (r.past - l.hour + 84 + 168 * 20) % 168 - 84 between -1 and 1
), shifted as (
    select hour, user_id, of_vendor, of_model, of_key, shift,
        list_median(list_resize(list(calls), 8, 0)) as calls,
        list_median(list_resize(list(failed), 8, 0)) as failed,
        list_median(list_resize(list(tokens), 8, 0)) as tokens
    from earlier
    group by all
), usually as (
    select hour, user_id, of_vendor, of_model, of_key,
        case when count(*) = 3 then min(calls) else 0 end as calls,
        case when count(*) = 3 then min(failed) else 0 end as failed,
        case when count(*) = 3 then min(tokens) else 0 end as tokens
    from shifted
    group by all
)
select distinct l.user_id
from large l
left join usually u on l.hour = u.hour and l.user_id = u.user_id and l.of_vendor = u.of_vendor and l.of_model = u.of_model and l.of_key = u.of_key
where (l.calls >= $min_calls and l.calls >= (1 + $beyond) * coalesce(u.calls, 0) + $beyond * $calls_of_noise)
    or (l.failed >= $min_failed and l.failed >= (1 + $beyond) * coalesce(u.failed, 0) + $beyond * $calls_of_noise)
    or (l.tokens >= $min_tokens and l.tokens >= (1 + $beyond) * coalesce(u.tokens, 0) + $beyond * $calls_of_noise * tokens_a_call)
    or (l.cost >= $min_cost and l.cost >=
        (1 + $beyond) / 2 * coalesce(u.tokens * cost_a_call / nullif(tokens_a_call, 0), 0) + $beyond * $calls_of_noise * cost_a_call)
