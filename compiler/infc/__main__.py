"""`python -m infc` is the `infc` script."""

from infc.cli import main

if __name__ == "__main__":
    main()
