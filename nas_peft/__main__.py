"""``python -m nas_peft``, the same as ``nas-peft``."""

from nas_peft.cli.app import main

if __name__ == "__main__":
    main()
