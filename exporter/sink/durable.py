"""Names that outlive a crash."""

import os
from pathlib import Path


def sync_folder(folder: Path) -> None:
    """Makes the names in `folder` durable: a file's own fsync does not cover its name."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
