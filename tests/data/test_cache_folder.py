"""The cache folder: written once and whole, read only as it was written, bounded."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tlnlp.data.cache_folder import ENTRY, CacheFolder, bound_bytes, default_folder


@pytest.fixture
def cache(tmp_path: Path) -> CacheFolder:
    return CacheFolder(tmp_path / "cache")


def write(text: str, calls: list[str] | None = None) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        if calls is not None:
            calls.append(text)
        (folder / "content.txt").write_text(text)

    return make


def test_an_entry_is_made_once_and_then_found(cache: CacheFolder) -> None:
    calls: list[str] = []
    for _ in range(3):
        path = cache.find_or_make("rows", "a" * 32, {"origin": "x.csv"}, write("one", calls))
        assert path is not None and (path / "content.txt").read_text() == "one"
    assert calls == ["one"]
    assert cache.find("rows", "b" * 32) is None and cache.find("encoded", "a" * 32) is None


def test_of_several_that_want_an_entry_one_makes_it_and_the_others_wait(cache: CacheFolder) -> None:
    calls: list[str] = []

    def make(folder: Path) -> None:
        time.sleep(0.2)
        write("one", calls)(folder)

    found: list[Path | None] = []
    together = [
        threading.Thread(target=lambda: found.append(cache.find_or_make("rows", "a" * 32, {}, make))) for _ in range(4)
    ]
    for each in together:
        each.start()
    for each in together:
        each.join()
    assert calls == ["one"]
    assert len(found) == 4 and all(path is not None and (path / "content.txt").exists() for path in found)


@pytest.mark.parametrize("damage", ["cut", "flipped", "gone", "no entry", "no JSON"])
def test_a_damaged_entry_is_noticed_and_made_again(cache: CacheFolder, damage: str) -> None:
    calls: list[str] = []
    path = cache.find_or_make("rows", "a" * 32, {}, write("0123456789", calls))
    assert path is not None
    file = path / "content.txt"
    if damage == "cut":
        os.truncate(file, 5)
    elif damage == "flipped":
        file.write_text("0123456689")
    elif damage == "gone":
        file.unlink()
    elif damage == "no entry":
        (path / ENTRY).unlink()
    else:
        (path / ENTRY).write_text('{"files": ')
    assert cache.find("rows", "a" * 32) is None
    again = cache.find_or_make("rows", "a" * 32, {}, write("0123456789", calls))
    assert again == path and file.read_text() == "0123456789"
    assert len(calls) == 2


def test_an_error_while_it_is_made_leaves_nothing_behind(cache: CacheFolder) -> None:
    def fail(folder: Path) -> None:
        (folder / "half.txt").write_text("half")
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        cache.find_or_make("rows", "a" * 32, {}, fail)
    assert cache.entries() == [] and not list(cache.folder.glob(".writing-*"))


def test_what_a_killed_process_left_is_cleared_away(cache: CacheFolder) -> None:
    left = cache.folder / f".writing-rows-{'a' * 32}"
    left.mkdir(parents=True)
    (left / "half.txt").write_text("half")
    cache.find_or_make("rows", "b" * 32, {}, write("one"))
    assert not left.exists()


def test_above_the_bound_the_least_recently_used_are_deleted(
    cache: CacheFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TLNLP_CACHE_GB", "0.000004")  # 4,000 bytes
    for number, key in enumerate("abc"):
        path = cache.find_or_make("rows", key * 32, {}, write("x" * 1000))
        assert path is not None
        os.utime(path / ENTRY, (number, number))
    assert cache.find("rows", "a" * 32) is not None  # used just now
    cache.find_or_make("rows", "d" * 32, {}, write("x" * 1000))
    assert {each.path.name[-1] for each in cache.entries()} == {"a", "c", "d"}
    cache.find_or_make("rows", "e" * 32, {}, write("x" * 9000))  # stays, whatever its size: it is needed now
    assert {each.path.name[-1] for each in cache.entries()} == {"e"}


def test_where_nothing_can_be_written_nothing_is_kept(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    assert CacheFolder(tmp_path / "file" / "cache").find_or_make("rows", "a" * 32, {}, write("one")) is None

    def full(folder: Path) -> None:
        raise OSError(28, "No space left on device")

    assert CacheFolder(tmp_path / "cache").find_or_make("rows", "a" * 32, {}, full) is None


def test_the_folder_is_that_of_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TLNLP_CACHE", str(tmp_path / "own"))
    assert default_folder() == tmp_path / "own"
    monkeypatch.delenv("TLNLP_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert default_folder() == tmp_path / "xdg" / "tlnlp"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert default_folder() == Path.home() / ".cache" / "tlnlp"
    monkeypatch.setenv("TLNLP_CACHE_GB", "2")
    assert bound_bytes() == 2e9
