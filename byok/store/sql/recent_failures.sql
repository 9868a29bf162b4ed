-- recent_failures
-- The newest calls that did not end with a 2xx status.
select ts, vendor, model, key_id, user_id, endpoint, status, latency_ms, usage_source
from usage
where /*scope*/ user_id = $user_id and ts >= $since and ts < $until /*.*/ and status not between 200 and 299
order by ts desc
limit $most
