"""Where journals are kept: the state directory of the platform, private to the user."""

from __future__ import annotations

import os
import re
from pathlib import Path

from platformdirs import user_state_dir

from penstock.errors import InvalidInput, JournalUnreadable
from penstock.files.home import NO_HOME, expanded

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

    Raises:
        InvalidInput: It is below the home of a user that is not known.
    """

    def __init__(self, root: Path | None = None) -> None:
        if root is None:
            root = Path(os.environ.get(ENVIRONMENT_VARIABLE) or _platform_place())
        self.root = expanded(root).absolute()

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
        """All journals, by name; none if the directory does not exist. Raises as `paths_in`."""
        return self.paths_in(_JOURNALS, _SUFFIX)

    def paths_in(self, folder: str, suffix: str) -> list[Path]:
        """
        The files of a folder whose names end so, by name; none if it does not exist.

        Raises:
            JournalUnreadable: It may not be looked into.
        """
        place = self.root / folder
        try:
            names = os.listdir(place)  # noqa: PTH208 - what may not be read is an error here
        except FileNotFoundError:
            return []
        except OSError as error:
            raise JournalUnreadable(
                f"the state directory {place} cannot be looked into: {error.strerror or error}",
                advice=f"Give yourself permission there, or set {ENVIRONMENT_VARIABLE} to another place.",
            ) from error
        return sorted(place / name for name in names if name.endswith(suffix))


def _platform_place() -> str:
    try:
        return user_state_dir("penstock", appauthor=False)
    except RuntimeError:  # this user has no home
        return str(NO_HOME / "penstock")
