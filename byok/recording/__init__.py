"""The only writer of usage files: journal, published Parquet, compaction, import."""
