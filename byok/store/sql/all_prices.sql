-- The price table.
select *
from prices
