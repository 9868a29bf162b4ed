"""A long run under faults: every process is killed again and again, and an independent ledger says what must be stored."""
