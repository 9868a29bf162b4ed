"""The unusual hours of a series: what is usual, how far from it an hour was, and in what words to say so."""
