-- Every record of one view: the published files and the journal lines not in them yet. A file written before a column existed gives null for it.
create or replace temp view usage_rows as
select * from read_parquet(getvariable('usage_files'), union_by_name = true, hive_partitioning = false)
union all by name
select * from usage_tail
