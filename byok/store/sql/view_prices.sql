-- The price table, USD per million tokens; null bounds mean always, a null cached or write rate means the input rate.
create or replace temp view prices as
select vendor, model, valid_from, valid_until,
    (input_pico::decimal(12, 0) * 0.000001::decimal(6, 6))::decimal(18, 6) as input_usd_per_mtok,
    (output_pico::decimal(12, 0) * 0.000001::decimal(6, 6))::decimal(18, 6) as output_usd_per_mtok,
    (cached_pico::decimal(12, 0) * 0.000001::decimal(6, 6))::decimal(18, 6) as cached_usd_per_mtok,
    (write_pico::decimal(12, 0) * 0.000001::decimal(6, 6))::decimal(18, 6) as write_usd_per_mtok,
    price_source
from usage_prices
