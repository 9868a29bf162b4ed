"""The small facts that change: users, plans, keys, tokens, sessions. One file per noun; every function takes the database first."""
