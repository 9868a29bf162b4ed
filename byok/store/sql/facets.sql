-- What can be filtered by: the distinct values of a period.
select
    list_sort(list(distinct vendor)) as vendor,
    list_sort(list(distinct model)) as model,
    list_sort(list(distinct key_id)) as key_id,
    list_sort(list(distinct status)) as status
from usage
where /*scope*/ user_id = $user_id and ts >= $since and ts < $until /*.*/
