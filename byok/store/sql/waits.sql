-- How long successful calls took, from each of the given starts to the next and by the columns asked for: exact percentiles of what was
-- measured. Null means that nothing was.
with stretch as (
    select unnest($starts::timestamptz[]) as start, unnest(range(len($starts::timestamptz[]))) as place
)
select
    place,
    /*groups*/ vendor, model, /*.*/
    count(*) as calls,
    quantile_disc(latency_ms, 0.5) as latency_p50_ms,
    quantile_disc(latency_ms, 0.95) as latency_p95_ms,
    quantile_disc(ttft_ms, 0.5) as ttft_p50_ms
from (
    select ts, user_id, key_id, vendor, model, status, latency_ms, ttft_ms
    from usage
    where /*scope*/ user_id = $user_id and ts >= $since and ts < $until /*.*/ and status between 200 and 299
) asof join stretch on ts >= start
group by all
order by place, calls desc /*more_order*/ /*.*/
