"""`python -m tlnlp`: the `tlnlp` command."""

import sys

from tlnlp.cli import main

if __name__ == "__main__":
    sys.exit(main())
