"""A model to the Hub: whether it may be written there is asked before a run begins, not hours later."""

from __future__ import annotations

import shlex
from pathlib import Path

from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError

from tlnlp.errors import InputError

# Refusals are one of these, and so is a Hub that cannot be reached: its client stands on httpx, or on httpx2 since 2.0.
_NOT_ANSWERED: tuple[type[Exception], ...] = HfHubHTTPError.__bases__
_NOT_WRITTEN: tuple[type[Exception], ...] = (*_NOT_ANSWERED, ValueError)


def check_can_push(repository: str) -> None:
    """Asks the Hub who we are.

    Raises:
        InputError: the name is none, there is no valid token, or the Hub cannot be reached.
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
            expected="to be logged in to the Hub, for --push-to",
            found="no token",
            change="`hf auth login`, or the environment variable HF_TOKEN; or leave --push-to out",
        ) from error
    except _NOT_ANSWERED as error:
        raise _refused(repository, error) from error


def push(folder: Path, repository: str) -> str:
    """Writes what is in `folder` to `repository`, which is made if it is not there, in one commit: where it is.

    Raises:
        InputError: the Hub refuses. `folder` is as it was, and the message has the command that goes on.
    """
    hub = HfApi()
    try:
        hub.create_repo(repository, exist_ok=True)
        hub.upload_folder(repo_id=repository, folder_path=folder, commit_message="Written by tlnlp")
    except _NOT_WRITTEN as error:
        raise _refused(repository, error, folder) from error
    return f"{hub.endpoint}/{repository}"


def _refused(repository: str, error: Exception, folder: Path | None = None) -> InputError:
    again = "the name, the rights of the token, or the network"
    if folder is not None:
        again += f"; the model is in {folder}: " + shlex.join(["hf", "upload", repository, str(folder), "."])
    return InputError(
        expected=f"to write {repository} on the Hub", found=str(error).strip().splitlines()[0][:200], change=again
    )
