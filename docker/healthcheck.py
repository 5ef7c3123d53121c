"""Exit with 0 when /readyz of this container's service returns 200, with 1 and the reason otherwise."""

import os
import sys
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

try:
    with urlopen(f"http://127.0.0.1:{os.environ.get('PORT', '8000')}/readyz", timeout=3) as response:
        print(response.read(500).decode())
except HTTPError as error:
    sys.exit(error.read(500).decode(errors="replace"))
except (URLError, OSError) as error:
    sys.exit(f"no response: {error}")
