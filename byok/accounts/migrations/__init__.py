"""The history of the accounts database's tables, run when it is opened."""
