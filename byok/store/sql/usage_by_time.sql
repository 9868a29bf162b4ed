-- Tokens and calls by local hour, day or month of a time zone, and by the other columns asked for; time first, ascending.
-- Summed by local day (or hour) as numbers first: what a day is called is worked out for each day, not for each record.
with zone as (
    select unnest($zone_starts::bigint[]) as from_s, unnest($zone_ends::bigint[]) as until_s,
        unnest($zone_seconds::bigint[]) as shift_s, unnest($zone_labels::varchar[]) as utc_offset
), records as (
    select *, epoch_us(ts) // 1000000 as at_s
    from /*records*/ usage /*.*/
    where /*scope*/ user_id = $user_id and ts >= $since and ts < $until /*.*/
), steps as (
    select (at_s + shift_s) // /*step*/ 86400 /*.*/ * /*step*/ 86400 /*.*/ as local_s,
        /*span*/ /*.*/
        /*groups*/ /*.*/
        sum(prompt_tokens) as prompt_tokens,
        sum(completion_tokens) as completion_tokens,
        sum(total_tokens) as total_tokens,
        /*calls*/ count(*) /*.*/ as calls,
        /*success*/ count(*) filter (where status between 200 and 299) /*.*/ as success
        /*cost_by_step*/ /*.*/
    from records join zone on at_s >= from_s and at_s < until_s
    group by all
    having /*calls*/ count(*) /*.*/ > 0
), named as (
    select *, make_timestamp(local_s * 1000000) as local
    from steps
)
select
    /*time*/ strftime(local, '%Y-%m-%d') as day, /*.*/
    /*groups*/ /*.*/
    coalesce(sum(prompt_tokens), 0) as prompt_tokens,
    coalesce(sum(completion_tokens), 0) as completion_tokens,
    coalesce(sum(total_tokens), 0) as total_tokens,
    sum(calls) as calls,
    sum(success) as success,
    sum(calls) - sum(success) as failed
    /*cost_of_steps*/ /*.*/
from named
group by all
order by /*time_order*/ day, /*.*/ total_tokens desc /*more_order*/ /*.*/
