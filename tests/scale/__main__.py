"""`make test-scale`: the tests of what lies past one machine, and those of the accounts once more on a real PostgreSQL."""

import os
import subprocess
import sys

from tests.scale import postgres_server


def main(words: list[str]) -> int:
    command = [sys.executable, "-m", "pytest", "-rs", *(words or ["tests/scale"])]
    code = subprocess.run(command).returncode
    if code or words:
        return code
    if reason := postgres_server.missing():
        print(f"The tests of the accounts did not run on PostgreSQL: {reason}")
        return 1
    server = postgres_server.PostgresServer()
    try:
        url = {"BYOK_TEST_POSTGRES_URL": server.url()}
        return subprocess.run([sys.executable, "-m", "pytest", "tests/accounts"], env=os.environ | url).returncode
    finally:
        server.close()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
