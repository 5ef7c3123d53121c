"""`python -m service`: start the service on HOST and PORT."""

import signal
import sys

if __name__ == "__main__":
    if hasattr(signal, "SIGHUP"):  # there is nothing to reload yet; the imports alone take a second
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    from service.start import main

    sys.exit(main())
