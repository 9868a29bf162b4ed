"""What a call costs: dated, sourced prices, and the arithmetic over them."""
