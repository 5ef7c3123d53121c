"""`python -m service`: start the service on HOST and PORT."""

import signal
import sys

if hasattr(signal, "SIGHUP"):  # before the predictors are loaded there is nothing to reload; imports take a second
    signal.signal(signal.SIGHUP, signal.SIG_IGN)

from service.main import main

if __name__ == "__main__":
    sys.exit(main())
