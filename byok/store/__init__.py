"""The only reader of usage files, and the only SQL over them."""
