-- Decode every value of one file; fails if it is broken.
select bit_xor(hash(rows)) from read_parquet($path, hive_partitioning = false) as rows
