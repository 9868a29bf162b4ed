-- All of one user's records of some files, with all that questions ask of a cost.
select *
from usage_costed
where user_id = $user_id
