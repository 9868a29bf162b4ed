-- The price table, USD per million tokens; null bounds mean always, a null cached or write rate means the input rate. `conditions` says in
-- words which rates hold instead, and when.
create or replace temp view prices as
select vendor, model, valid_from, valid_until,
    (input_pico::decimal(12, 0) * 0.000001::decimal(6, 6))::decimal(18, 6) as input_usd_per_mtok,
    (output_pico::decimal(12, 0) * 0.000001::decimal(6, 6))::decimal(18, 6) as output_usd_per_mtok,
    (cached_pico::decimal(12, 0) * 0.000001::decimal(6, 6))::decimal(18, 6) as cached_usd_per_mtok,
    (write_pico::decimal(12, 0) * 0.000001::decimal(6, 6))::decimal(18, 6) as write_usd_per_mtok,
    (request_pico::decimal(15, 0) * 0.000000000001::decimal(12, 12))::decimal(27, 12) as request_usd,
    conditions,
    price_source
from usage_prices
