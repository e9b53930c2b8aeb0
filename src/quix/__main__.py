"""`python -m quix` is the command `quix`."""

from quix.cli import main

if __name__ == "__main__":
    main()
