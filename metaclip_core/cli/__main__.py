"""`python -m metaclip_core.cli`: the command line where its script is not on the path."""

import sys

from metaclip_core.cli import main

if __name__ == "__main__":
    sys.exit(main())
