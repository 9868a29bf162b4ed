-- Every record of a view that has no published files.
create or replace temp view usage_rows as
select * from usage_tail
