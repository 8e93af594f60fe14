"""The run folder: round trips, torn tails, one writer, and clear refusals."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from ssd_eval.decoding import DecodingConfig
from ssd_eval.errors import RunFolderError
from ssd_eval.records import Completion, SampleKey, Verdict
from ssd_eval.store import COMPLETIONS, MANIFEST, VERDICTS, RunStore


def completion(sample: int = 0, text: str = "print(1)") -> Completion:
    key = SampleKey("f" * 16, "micro/eval/0001", "d" * 16, sample)
    return Completion(key, text, (1, 2, 3), "stop", 7, DecodingConfig(1.0, 20, 0.8), 1.0)


def verdict(sample: int = 0, status: str = "passed") -> Verdict:
    return Verdict(completion(sample).key, status, "", "python-fence", 0.1, 3, 3)  # type: ignore[arg-type]


def opened(folder: Path, digest: str = "abc") -> RunStore:
    return RunStore.open(folder, digest=digest, manifest={"seed": 0})


@pytest.mark.parametrize("text", ["", "a\nb\r\n", "\0", "\ud800 lone", "é 𝄞", "\u2028", '"\\'])
def test_records_come_back_exactly(tmp_path: Path, text: str) -> None:
    with opened(tmp_path / "run") as store:
        store.add_completion(completion(text=text))
        store.add_verdict(verdict())
    with opened(tmp_path / "run") as again:
        assert again.completions == {completion().key: completion(text=text)}
        assert again.verdicts == {verdict().key: verdict()}


@pytest.mark.parametrize("cut", [1, 5, 40])
def test_torn_last_line_is_cut_off_and_the_rest_kept(tmp_path: Path, cut: int) -> None:
    with opened(tmp_path / "run") as store:
        store.add_completion(completion(0))
        store.add_completion(completion(1))
    file = tmp_path / "run" / COMPLETIONS
    file.write_bytes(file.read_bytes()[:-cut])
    with opened(tmp_path / "run") as again:
        assert set(again.completions) == {completion(0).key}
        again.add_completion(completion(1))
    with opened(tmp_path / "run") as last:
        assert len(last.completions) == 2


def test_corrupt_line_is_refused_with_its_number(tmp_path: Path) -> None:
    with opened(tmp_path / "run") as store:
        store.add_verdict(verdict(0))
        store.add_verdict(verdict(1))
    file = tmp_path / "run" / VERDICTS
    lines = file.read_bytes().splitlines()
    file.write_bytes(b"{broken\n" + lines[1] + b"\n")
    with pytest.raises(RunFolderError, match=r"verdicts\.jsonl, line 1 is corrupt"):
        opened(tmp_path / "run")


def test_other_settings_are_refused(tmp_path: Path) -> None:
    opened(tmp_path / "run").close()
    with pytest.raises(RunFolderError, match="other settings"):
        opened(tmp_path / "run", digest="xyz")


def test_other_format_is_refused(tmp_path: Path) -> None:
    opened(tmp_path / "run").close()
    file = tmp_path / "run" / MANIFEST
    file.write_text(json.dumps({**json.loads(file.read_text()), "format": 99}))
    with pytest.raises(RunFolderError, match="format 99"):
        opened(tmp_path / "run")


def test_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(RunFolderError, match=r"thesis\.tex"):
        opened(tmp_path)
    assert (tmp_path / "thesis.tex").read_text() == "precious"


def test_file_in_the_folders_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("x")
    with pytest.raises(RunFolderError, match="cannot write"):
        opened(tmp_path / "run")


def test_second_writer_is_refused(tmp_path: Path) -> None:
    with opened(tmp_path / "run"), pytest.raises(RunFolderError, match="in use"):
        opened(tmp_path / "run")
    opened(tmp_path / "run").close()


def test_full_disk_is_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with opened(tmp_path / "run") as store:
        monkeypatch.setattr("ssd_eval.store.os.write", full)
        with pytest.raises(RunFolderError, match=r"No space left.*kept"):
            store.add_completion(completion())
        monkeypatch.undo()
        assert not store.completions


def test_infra_error_is_worth_another_try(tmp_path: Path) -> None:
    with opened(tmp_path / "run") as store:
        store.add_verdict(verdict(0, "infra_error"))
        store.add_verdict(verdict(1, "wrong_answer"))
        assert store.graded() == {verdict(1).key}
        store.add_verdict(verdict(0))
    with opened(tmp_path / "run") as again:
        assert again.verdicts[verdict(0).key].passed


def test_manifest_says_how_the_run_ended(tmp_path: Path) -> None:
    def status() -> str:
        return json.loads((tmp_path / "run" / MANIFEST).read_text())["status"]

    with opened(tmp_path / "run") as store:
        assert status() == "started"
        store.interrupt()
    assert status() == "interrupted"
    with opened(tmp_path / "run") as store:
        store.finish()
    assert status() == "finished"


def test_empty_manifest_is_refused_with_the_fix(tmp_path: Path) -> None:
    opened(tmp_path / "run").close()
    (tmp_path / "run" / MANIFEST).write_text("")
    with pytest.raises(RunFolderError, match="another --run-dir"):
        opened(tmp_path / "run")
