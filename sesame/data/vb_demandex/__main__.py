"""``python -m sesame.data.vb_demandex``."""

import sys

from sesame.data.vb_demandex.cli import main

if __name__ == "__main__":
    sys.exit(main())
