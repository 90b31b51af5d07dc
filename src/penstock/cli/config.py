"""``penstock config``: where the settings come from."""

from __future__ import annotations

import os
from pathlib import Path

import click

from penstock.cli.json_line import echo_json
from penstock.cli.options import Options, oss_command
from penstock.files.home import expanded, home_directory
from penstock.files.state_dir import StateDir

_VARIABLES = (
    "OSS_ENDPOINT",
    "OSS_REGION",
    "OSS_ACCESS_KEY_ID",
    "OSS_ACCESS_KEY_SECRET",
    "OSS_SESSION_TOKEN",
    "OSSUTIL_CONFIG_FILE",
    "OSSUTIL_PROFILE",
    "ALIBABA_CLOUD_ACCESS_KEY_ID",
    "ALIBABA_CLOUD_ACCESS_KEY_SECRET",
    "ALIBABA_CLOUD_SECURITY_TOKEN",
    "ALIBABA_CLOUD_REGION_ID",
    "ALIBABA_CLOUD_PROFILE",
    "ALIBABA_CLOUD_IGNORE_PROFILE",
    "ALIBABA_CLOUD_CLI_PROFILE_DISABLED",
    "PENSTOCK_STATE_DIR",
    "PENSTOCK_INTERRUPT_EXIT",
)
_NEVER_SHOWN = ("KEY", "SECRET", "TOKEN")


@oss_command("config")
def command(options: Options) -> None:
    """
    Show which files are looked at, and which variables are set; `penstock doctor` says which of them win.

    The order is: options of the command line, OSS_* variables, ~/.ossutilconfig (of ossutil), ALIBABA_CLOUD_*
    variables, ~/.aliyun/config.json (of the aliyun command line).
    """
    home = home_directory()
    ossutil = Path(options.config_file or os.environ.get("OSSUTIL_CONFIG_FILE") or home / ".ossutilconfig")
    files = {
        "ossutil file": str(expanded(ossutil)),
        "aliyun file": str(home / ".aliyun" / "config.json"),
        "journals": str(StateDir().root / "journals"),
    }
    variables = {name: _shown(name, os.environ[name]) for name in _VARIABLES if os.environ.get(name)}
    if options.json:
        echo_json({"files": files, "variables": variables})
        return
    for label, path in files.items():
        there = "" if os.path.exists(path) else "  (not there)"  # noqa: PTH110 (Path.exists raises where it may not look)
        click.echo(f"{click.style(label.ljust(14), dim=True)}{path}{there}")
    for name, text in variables.items():
        click.echo(f"{click.style(name, dim=True)}={text}")


def _shown(name: str, text: str) -> str:
    return "(set)" if any(word in name for word in _NEVER_SHOWN) else text
