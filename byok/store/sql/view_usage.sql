-- The records a plan still keeps, in the columns of the record. Rows of unknown users and rows past retention do not pass the join.
create or replace temp view usage as
select
    r.ts::timestamptz as ts,
    r.user_id::varchar as user_id,
    r.key_id::varchar as key_id,
    r.vendor::varchar as vendor,
    r.model::varchar as model,
    r.endpoint::varchar as endpoint,
    r.prompt_tokens::bigint as prompt_tokens,
    r.completion_tokens::bigint as completion_tokens,
    r.total_tokens::bigint as total_tokens,
    r.cached_tokens::bigint as cached_tokens,
    r.cache_write_tokens::bigint as cache_write_tokens,
    r.reasoning_tokens::bigint as reasoning_tokens,
    r.status::smallint as status,
    r.usage_source::varchar as usage_source,
    r.latency_ms::integer as latency_ms,
    r.ttft_ms::integer as ttft_ms
from usage_rows r
join usage_kept k on r.user_id = k.user_id and r.ts >= k.keep_after
