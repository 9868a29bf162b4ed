-- Models and keys whose first call in what is looked at lies at or after $asked_since, of users who are not new themselves. Newest first.
with calls as (
    select user_id, vendor, model, key_id, ts
    from /*records*/ usage /*.*/
    where /*scope*/ user_id = $user_id and ts >= $since and ts < $until /*.*/
), newcomers as (
    select user_id, min(ts) as came from calls group by user_id
), firsts as (
    select 'model' as kind, user_id, vendor, model as name, min(ts) as first_at from calls group by all
    union all
    select 'key' as kind, user_id, vendor, key_id as name, min(ts) as first_at from calls group by all
)
select kind, firsts.user_id, vendor, name, first_at
from firsts join newcomers on firsts.user_id = newcomers.user_id
where first_at >= $asked_since and first_at >= came + to_hours($newcomers_h::bigint)
order by first_at desc, firsts.user_id, kind, name
