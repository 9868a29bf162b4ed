-- Which prices a selection was priced with, and how much of it with each.
select vendor, model, price_source, count(*) as calls, sum(cost_usd) as cost_usd
from usage_priced
where price_source is not null and /*scope*/ user_id = $user_id and ts >= $since and ts < $until /*.*/
group by all
order by vendor, model, calls desc, price_source
