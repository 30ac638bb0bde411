"""`tlnlp cache`: what it says and what it deletes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tlnlp.cli import main
from tlnlp.data.cache_folder import ENTRY, CacheFolder


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CacheFolder:
    """Rows of a file, encoded by two tokenizers, one three hours ago."""
    monkeypatch.setenv("TLNLP_CACHE", str(tmp_path))
    found = CacheFolder()
    for age, name in ((3, "old"), (0, "new")):
        about = {"rows": 12_345, "origin": "reviews.csv", "tokenizer": name}
        path = found.find_or_make("encoded", name[0] * 32, about, lambda at: (at / "x").write_bytes(b"0" * 2_000_000))
        assert path is not None
        used = (path / ENTRY).stat().st_mtime - age * 3600
        os.utime(path / ENTRY, (used, used))
    return found


def test_it_says_what_is_there(cache: CacheFolder, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cache"]) == 0
    said = capsys.readouterr().out
    new, old = (line for line in said.splitlines() if "reviews.csv" in line)
    assert "encoded" in new and "12,345" in new and "2.0 MB" in new and "new" in new and "just now" in new
    assert "old" in old and "3 hours ago" in old
    assert f"2 in {cache.folder}: 4.0 MB, at most 50 GB" in said


def test_it_deletes_the_oldest_or_all(cache: CacheFolder, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cache", "--above", "0.003"]) == 0
    assert [each.about["tokenizer"] for each in cache.entries()] == ["new"]
    assert main(["cache", "--clear"]) == 0
    assert "1 deleted, 2.0 MB" in capsys.readouterr().out
    assert list(cache.folder.iterdir()) == []


def test_an_empty_cache_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TLNLP_CACHE", str(tmp_path / "none"))
    assert main(["cache"]) == 0 and main(["cache", "--clear"]) == 0
    assert "0 in" in capsys.readouterr().out
    assert not (tmp_path / "none").exists()
