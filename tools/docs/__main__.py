"""`python -m tools.docs`: write anew what in the pages comes from the code."""

from tools.docs.filling import pages, written


def main() -> None:
    """Say which pages changed."""
    for page in pages():
        if written(page):
            print(f"written: {page.name}")


main()
