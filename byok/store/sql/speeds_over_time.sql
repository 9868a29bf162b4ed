-- speeds_over_time
-- How long successful calls took from each of the given starts to the next; stretches without a measured call are left out.
with stretch as (
    select unnest($starts::timestamptz[]) as start, unnest(range(len($starts::timestamptz[]))) as place
)
select
    place,
    quantile_disc(latency_ms, 0.95) as latency_p95_ms,
    quantile_disc(ttft_ms, 0.5) as ttft_p50_ms
from (
    select ts, latency_ms, ttft_ms
    from usage
    where /*scope*/ user_id = $user_id and ts >= $since and ts < $until /*.*/ and status between 200 and 299
) asof join stretch on ts >= start
group by place
order by place
