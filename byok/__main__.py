"""`python -m byok …`: the same as the command `byok`."""

import gc

gc.set_threshold(50_000, 20, 50)  # what a start makes stays: looking for garbage in it again and again finds none

from byok.cli import main  # noqa: E402

if __name__ == "__main__":
    main()
