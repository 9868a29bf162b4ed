-- The rates in force at one moment.
select vendor, model, input_usd_per_mtok, output_usd_per_mtok, cached_usd_per_mtok, write_usd_per_mtok, request_usd, conditions,
    valid_from, price_source
from prices
where (valid_from is null or valid_from <= $at) and (valid_until is null or valid_until > $at)
order by vendor, model
