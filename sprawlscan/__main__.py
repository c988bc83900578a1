"""``python -m sprawlscan``: the command line."""

from scanner.command.cli import main

if __name__ == "__main__":
    main()
