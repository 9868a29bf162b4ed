-- Every record of one view: the published files and the journal lines not in them yet. A file written before a column existed gives null for
-- it. The types are spelled out so that the view stays valid whichever files it reads next.
create or replace temp view usage_rows as
select
    ts::timestamptz as ts,
    user_id::varchar as user_id,
    key_id::varchar as key_id,
    vendor::varchar as vendor,
    model::varchar as model,
    endpoint::varchar as endpoint,
    prompt_tokens::bigint as prompt_tokens,
    completion_tokens::bigint as completion_tokens,
    total_tokens::bigint as total_tokens,
    cached_tokens::bigint as cached_tokens,
    cache_write_tokens::bigint as cache_write_tokens,
    reasoning_tokens::bigint as reasoning_tokens,
    status::smallint as status,
    usage_source::varchar as usage_source,
    latency_ms::integer as latency_ms,
    ttft_ms::integer as ttft_ms
from (
    select * from usage_tail
    union all by name
    /*read*/ select * from read_parquet(getvariable('usage_files'), union_by_name = true, hive_partitioning = false) /*.*/
)
