-- How many calls each user made: where a search of everyone's is cut.
select user_id, count(*) as calls
from usage
where /*scope*/ user_id = $user_id and ts >= $since and ts < $until /*.*/
group by all
order by user_id
