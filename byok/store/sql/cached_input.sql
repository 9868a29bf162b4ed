-- How much of the input the vendors had in their caches, from each of the given starts to the next and by the columns asked for.
with stretch as (
    select unnest($starts::timestamptz[]) as start, unnest(range(len($starts::timestamptz[]))) as place
)
select
    place,
    /*groups*/ vendor, model, /*.*/
    count(*) as calls,
    coalesce(sum(prompt_tokens), 0) as prompt_tokens,
    coalesce(sum(cached_tokens), 0) as cached_tokens
from (
    select ts, user_id, key_id, vendor, model, status, prompt_tokens, cached_tokens
    from usage
    where /*scope*/ user_id = $user_id and ts >= $since and ts < $until /*.*/
) asof join stretch on ts >= start
group by all
order by place, calls desc /*more_order*/ /*.*/
