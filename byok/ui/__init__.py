"""What the dashboard's pages share: who is signed in, the filters, charts, tables, states and words."""
