-- sources
-- How far the counts can be trusted: calls and tokens by where their counts come from.
select
    usage_source,
    count(*) as calls,
    count(*) filter (where status between 200 and 299) as success,
    count(*) filter (where total_tokens is null) as uncounted,
    coalesce(sum(total_tokens), 0) as total_tokens
from usage
where /*scope*/ user_id = $user_id and ts >= $since and ts < $until /*.*/
group by all
order by calls desc, usage_source
