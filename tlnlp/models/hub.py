"""Uploading a model to the Hub. Write access is checked before a run starts, not hours later."""

from __future__ import annotations

import shlex
from pathlib import Path

from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError

from tlnlp.errors import InputError

# Base classes of the Hub client's errors, also if the Hub cannot be reached: it uses httpx, or httpx2 since 2.0.
_NOT_ANSWERED: tuple[type[Exception], ...] = HfHubHTTPError.__bases__
_NOT_WRITTEN: tuple[type[Exception], ...] = (*_NOT_ANSWERED, ValueError)


def check_can_push(repository: str) -> None:
    """Checks the repository name and the user's token with the Hub.

    Raises:
        InputError: the name is invalid, there is no valid token, or the Hub cannot be reached.
    """
    organisation, _, name = repository.partition("/")
    if not organisation or not name or "/" in name:
        raise InputError(
            expected="--push-to ORGANISATION/NAME, a model on the Hub", found=repository, change="--push-to me/my-model"
        )
    try:
        HfApi().whoami()
    except LocalTokenNotFoundError as error:
        raise InputError(
            expected="a login to the Hub, for --push-to",
            found="no token",
            change="`hf auth login`, or the environment variable HF_TOKEN; or omit --push-to",
        ) from error
    except _NOT_ANSWERED as error:
        raise _refused(repository, error) from error


def push(folder: Path, repository: str) -> str:
    """Uploads `folder` to `repository` in one commit, creating the repository if necessary, and returns its URL.

    Raises:
        InputError: the Hub refuses. `folder` is unchanged, and the message has the command that uploads it.
    """
    hub = HfApi()
    try:
        hub.create_repo(repository, exist_ok=True)
        hub.upload_folder(repo_id=repository, folder_path=folder, commit_message="Written by tlnlp")
    except _NOT_WRITTEN as error:
        raise _refused(repository, error, folder) from error
    return f"{hub.endpoint}/{repository}"


def _refused(repository: str, error: Exception, folder: Path | None = None) -> InputError:
    again = "the name, the permissions of the token, or the network"
    if folder is not None:
        again += f"; the model is in {folder}: " + shlex.join(["hf", "upload", repository, str(folder), "."])
    return InputError(
        expected=f"permission to write to {repository} on the Hub",
        found=str(error).strip().splitlines()[0][:200],
        change=again,
    )
