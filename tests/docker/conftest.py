"""The installation from the locks is only tried under `make test-installed`: it takes packages from the index."""

import os

collect_ignore = [] if os.environ.get("CDS_TEST_INSTALLED") else ["test_installed.py"]
