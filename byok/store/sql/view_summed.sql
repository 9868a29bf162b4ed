-- Records as sums of one call each, to stand beside remembered sums; `calls` says how many each row stands for.
create or replace temp view usage_summed as
select *, 1 as calls from usage
