-- Tokens and calls by local hour, day or month of a time zone, and by the other columns asked for; time first, ascending.
-- Offsets and clock changes are whole steps of $step_s seconds, mostly an hour, so the records are summed by step first and only the sums are
-- moved.
with steps as (
    select epoch_us(ts) // ($step_s::bigint * 1000000) * $step_s as start_s,
        /*groups*/ /*.*/
        sum(prompt_tokens) as prompt_tokens,
        sum(completion_tokens) as completion_tokens,
        sum(total_tokens) as total_tokens,
        /*calls*/ count(*) /*.*/ as calls,
        /*success*/ count(*) filter (where status between 200 and 299) /*.*/ as success
        /*cost_by_step*/ /*.*/
    from /*records*/ usage /*.*/
    where /*scope*/ user_id = $user_id and ts >= $since and ts < $until /*.*/
    group by all
    having /*calls*/ count(*) /*.*/ > 0
), zone as (
    select unnest($zone_starts::bigint[]) as from_s, unnest($zone_ends::bigint[]) as until_s,
        unnest($zone_seconds::bigint[]) as shift_s, unnest($zone_labels::varchar[]) as utc_offset
), moved as (
    select steps.*, utc_offset, make_timestamp((start_s + shift_s) * 1000000) as local,
        -- the hour's own beginning; one that is cut by a clock change begins with the change
        greatest(start_s + shift_s - (start_s + shift_s) % 3600 - shift_s, from_s) as hour_starts_s
    from steps join zone on start_s >= from_s and start_s < until_s
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
from moved
group by all
order by /*time_order*/ day, /*.*/ total_tokens desc /*more_order*/ /*.*/
