-- How many records each UTC hour holds: where a long export is cut.
select epoch_us(ts) // 3600000000 * 3600 as hour_s, count(*) as calls
from usage
where /*scope*/ user_id = $user_id and ts >= $since and ts < $until /*.*/
group by all
order by hour_s
