"""`python -m service`: start the service on HOST and PORT."""

import sys

from service.main import main

if __name__ == "__main__":
    sys.exit(main())
