-- speeds
-- How long successful calls took: exact percentiles of what was measured, per model and (vendor and model null) over all of them.
select
    vendor,
    model,
    count(*) as calls,
    count(latency_ms) as timed,
    quantile_disc(latency_ms, 0.5) as latency_p50_ms,
    quantile_disc(latency_ms, 0.95) as latency_p95_ms,
    quantile_disc(ttft_ms, 0.5) as ttft_p50_ms,
    quantile_disc(ttft_ms, 0.95) as ttft_p95_ms
from usage
where /*scope*/ user_id = $user_id and ts >= $since and ts < $until /*.*/ and status between 200 and 299
group by grouping sets ((vendor, model), ())
having count(*) > 0
order by calls desc, vendor nulls first, model
