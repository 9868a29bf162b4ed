"""Who is told what, once: alert rules looked at, an outbox that is emptied, reports on schedule."""
