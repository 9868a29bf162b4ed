"""A vendor's own account of a period beside what the gateway saw of it."""
