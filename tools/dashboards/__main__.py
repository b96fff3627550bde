"""`python -m tools.dashboards`: write every dashboard anew."""

from tools.dashboards.writing import written


def main() -> None:
    """Say which changed."""
    for path in written():
        print(f"written: {path.name}")


main()
