"""One file per step; a step is never changed once released."""
