-- Tokens and calls by the columns asked for, most tokens first. Null counts are summed as 0.
select
    /*groups*/ vendor, model, /*.*/
    coalesce(sum(prompt_tokens), 0) as prompt_tokens,
    coalesce(sum(completion_tokens), 0) as completion_tokens,
    coalesce(sum(total_tokens), 0) as total_tokens,
    /*calls*/ count(*) /*.*/ as calls,
    /*success*/ count(*) filter (where status between 200 and 299) /*.*/ as success,
    /*failed*/ count(*) filter (where status not between 200 and 299) /*.*/ as failed
    /*cost*/ /*.*/
from /*records*/ usage /*.*/
where /*scope*/ user_id = $user_id and ts >= $since and ts < $until /*.*/
group by all
having /*calls*/ count(*) /*.*/ > 0
order by total_tokens desc, /*order*/ vendor, model /*.*/
