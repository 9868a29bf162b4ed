-- One user's records as they are held in memory, cost and all (byok.store.held); what the plan hides stays hidden.
create or replace temp view usage_costed as
select h.*
from usage_held h
join usage_kept k on h.user_id = k.user_id and h.ts >= k.keep_after
