"""`python -m byok …`: the same as the command `byok`."""

from byok.cli import main

if __name__ == "__main__":
    main()
