-- The rows of a file that retention hides already or before long, each with the instant from which it is hidden.
select u.* exclude (key_id, endpoint, usage_source, latency_ms, ttft_ms, cost_usd, price_source),
    epoch_us(u.ts) + l.days * 86400000000 as hidden_after_us
from usage_costed u join leaving l on u.user_id = l.user_id
where epoch_us(u.ts) + l.days * 86400000000 < $horizon_us
