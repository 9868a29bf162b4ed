"""`python -m byok …`: the same as the command `byok`."""

import gc
import sys

gc.set_threshold(50_000, 20, 50)  # what a start makes stays: looking for garbage in it again and again finds none

try:
    from byok.cli import main
except KeyboardInterrupt:
    sys.exit("Stopped.")

if __name__ == "__main__":
    main()
