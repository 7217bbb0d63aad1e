"""``python -m kencore``."""

from kencore.cli.main import main

if __name__ == "__main__":
    main()
