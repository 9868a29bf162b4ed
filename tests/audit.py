"""`make audit`: asks whether any locked package has a known advisory, and says in plain words when it could not be asked.

python -m tests.audit PIP_AUDIT     # the program; ends with 1 if there is an advisory, with 0 otherwise
"""

import json
import subprocess
import sys
from pathlib import Path

LOCK = Path(__file__).resolve().parents[1] / "requirements.lock"


def main(pip_audit: str) -> int:
    command = [pip_audit, "--requirement", str(LOCK), "--require-hashes", "--disable-pip", "--format", "json", "--progress-spinner", "off"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        looked_at = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError, TypeError):
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1][:200]
        print(f"NOT CHECKED: the advisories could not be read ({reason}). Run this again with a connection.")
        return 0
    return say(looked_at)


def say(looked_at: list[dict[str, object]]) -> int:
    """Print what was found of pip-audit's list; 1 if there is an advisory."""
    faults = [(one["name"], one["version"], advisory) for one in looked_at for advisory in list(one.get("vulns") or ())]  # type: ignore[call-overload]
    for name, version, advisory in faults:
        fixed = ", ".join(advisory.get("fix_versions") or ()) or "no fixed version yet"
        print(f"{name} {version}: {advisory['id']} (fixed in: {fixed})")
    skipped = [str(one["name"]) for one in looked_at if "skip_reason" in one]
    if len(skipped) == len(looked_at):
        print("NOT CHECKED: the service that was asked knows none of these packages. Run this again with another connection.")
        return 0
    if skipped:
        print(f"Not looked up: {', '.join(skipped)}")
    print(f"{len(looked_at) - len(skipped)} packages looked up, {len(faults)} advisories.")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
