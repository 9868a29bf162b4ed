"""`python -m tests.soak.notifications --kills 200`: see `alert_kills`. A file of its own, as every child begins by loading it."""

import sys

from tests.soak.alert_kills import main

if __name__ == "__main__":
    sys.exit(main())
