"""Budgets at work: what is counted against them, who is to be warned, and when they will be used up."""
