"""Where journals are kept: the state directory of the platform, private to the user."""

from __future__ import annotations

import os
import re
from pathlib import Path

from platformdirs import user_state_dir

from penstock.errors import InvalidInput

ENVIRONMENT_VARIABLE = "PENSTOCK_STATE_DIR"

_JOURNALS = "journals"
_SUFFIX = ".journal"
_JOB_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")


class StateDir:
    """
    The directory of all that outlives a process. Nothing is made before it is needed.

    Args:
        root: None takes ``PENSTOCK_STATE_DIR``, or else the state directory of the platform: on Linux
            ``~/.local/state/penstock``. Never the working directory or one for temporary files.
    """

    def __init__(self, root: Path | None = None) -> None:
        if root is None:
            root = Path(os.environ.get(ENVIRONMENT_VARIABLE) or user_state_dir("penstock", appauthor=False))
        self.root = root.expanduser().absolute()

    def journal_path(self, job_id: str) -> Path:
        """
        Where the journal of a job is, or will be.

        Raises:
            InvalidInput: ``job_id`` is not made of letters, digits, ``-`` and ``_``.
        """
        if not _JOB_ID.fullmatch(job_id):
            raise InvalidInput(f"{job_id!r} cannot be a job id: letters, digits, '-' and '_' only")
        return self.root / _JOURNALS / f"{job_id}{_SUFFIX}"

    def journal_paths(self) -> list[Path]:
        """All journals, by name; none if the directory does not exist."""
        return sorted((self.root / _JOURNALS).glob(f"*{_SUFFIX}"))
