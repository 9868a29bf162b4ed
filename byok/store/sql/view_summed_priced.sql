-- The same with cost.
create or replace temp view usage_summed_priced as
select *, 1 as calls, (cost_nano is null)::int as unpriced_calls from usage_costed
