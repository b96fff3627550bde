"""`python -m commonry` is the command line."""

from commonry.cli import main

if __name__ == "__main__":
    main()
