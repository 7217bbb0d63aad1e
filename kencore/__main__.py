"""``python -m kencore``."""

from kencore.cli import main

if __name__ == "__main__":
    main()
