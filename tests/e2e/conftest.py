import pytest

from tests.e2e.installation import Installation


@pytest.fixture
def install(tmp_path):
    """Makes installations that end with the test."""
    made = []

    def make(**settings: str) -> Installation:
        root = tmp_path / f"installation-{len(made)}"
        root.mkdir()
        made.append(Installation(root, **settings))
        return made[-1]

    yield make
    for installation in made:
        installation.close()
