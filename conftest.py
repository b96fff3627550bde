"""What holds for every test; what one folder of tests needs stays in that folder's own conftest.py."""

pytest_plugins = ["tests.needs"]
