-- 1e-12 USD as 1e-9 USD, half even; // cuts towards 0.
create or replace temp macro nano_of_pico(pico) as (sign(pico)::hugeint * ((abs(pico) + 499 + ((abs(pico) // 1000) & 1)) // 1000))::bigint;
-- 1e-9 USD as USD.
create or replace temp macro usd_of_nano(nano) as (nano::decimal(18, 0) * 0.000000001::decimal(9, 9))::decimal(18, 9);
-- A sum of many of those.
create or replace temp macro usd_of_nanos(nanos) as (nanos::decimal(28, 0) * 0.000000001::decimal(9, 9))::decimal(38, 9)
