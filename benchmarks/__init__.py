"""What `make bench` runs. Figures of one run are comparable with each other; those of two runs or machines are not."""
