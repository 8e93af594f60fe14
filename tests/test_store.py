"""The run folder: round trips, torn tails, one writer, and clear refusals."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ssd_eval.decoding import DecodingConfig
from ssd_eval.errors import RunFolderError
from ssd_eval.manifest import MANIFEST
from ssd_eval.records import Completion, SampleKey, Verdict
from ssd_eval.store import COMPLETIONS, VERDICTS, RunStore


def completion(sample: int = 0, text: str = "print(1)") -> Completion:
    key = SampleKey("f" * 16, "micro/eval/0001", "d" * 16, sample)
    return Completion(key, text, (1, 2, 3), "stop", 7, DecodingConfig(1.0, 20, 0.8), 1.0)


def verdict(sample: int = 0, status: str = "passed") -> Verdict:
    return Verdict(completion(sample).key, status, "", "python-fence", 0.1, 3, 3)  # type: ignore[arg-type]


def opened(folder: Path, digest: str = "abc", **pinned: str) -> RunStore:
    return RunStore.open(folder, digest=digest, manifest={"seed": 0}, pinned=pinned)


def full(*_: object) -> int:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


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
    with opened(tmp_path / "run") as store:
        monkeypatch.setattr("ssd_eval.journal.os.write", full)
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


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"null",
        b"{}",
        b"\xff",
        b"[" * 100_000,
        {"key": "abcd"},
        {"key": ["a", "b", "c", 1.5]},
        {"key": ["a", "b", "c", [1]]},
        {"text": 5},
        {"token_ids": "abc"},
        {"finish": "maybe"},
        {"decoding": {"temperature": -1, "top_k": 0, "top_p": 1}},
        {"decoding": None},
        {"unknown": 1},
    ],
    ids=lambda line: str(line)[:30],
)
def test_whole_line_that_is_no_record_is_refused_with_its_number(
    tmp_path: Path, line: bytes | dict[str, object]
) -> None:
    with opened(tmp_path / "run") as store:
        store.add_completion(completion(0))
    if isinstance(line, dict):
        line = json.dumps({**completion(1).to_json(), **line}).encode()
    with (tmp_path / "run" / COMPLETIONS).open("ab") as file:
        file.write(line + b"\n")
    with pytest.raises(RunFolderError, match=r"completions\.jsonl, line 2 is corrupt"):
        opened(tmp_path / "run")


def test_verdict_of_an_unknown_status_is_refused(tmp_path: Path) -> None:
    with opened(tmp_path / "run") as store:
        store.add_verdict(verdict(0, "wonderful"))
    with pytest.raises(RunFolderError, match=r"verdicts\.jsonl, line 1"):
        opened(tmp_path / "run")


def test_refused_folder_is_not_changed(tmp_path: Path) -> None:
    with opened(tmp_path / "run") as store:
        store.finish()
    (tmp_path / "run" / VERDICTS).write_text("{}\n")
    before = (tmp_path / "run" / MANIFEST).read_bytes()
    with pytest.raises(RunFolderError):
        opened(tmp_path / "run")
    with pytest.raises(RunFolderError):
        opened(tmp_path / "run", digest="xyz")
    assert (tmp_path / "run" / MANIFEST).read_bytes() == before


def test_half_written_record_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    with opened(tmp_path / "run") as store:
        store.add_completion(completion(0))
        monkeypatch.setattr("ssd_eval.journal.os.write", lambda fd, data: write(fd, data[:30]))
        with pytest.raises(RunFolderError, match="No space left"):
            store.add_completion(completion(1))
        monkeypatch.undo()
        store.add_completion(completion(2))
    with opened(tmp_path / "run") as again:
        assert set(again.completions) == {completion(0).key, completion(2).key}


def test_folder_is_free_again_after_a_failed_close(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opened(tmp_path / "run")
    monkeypatch.setattr("ssd_eval.journal.os.fsync", full)
    with pytest.raises(RunFolderError, match="No space left"):
        store.close()
    monkeypatch.undo()
    opened(tmp_path / "run").close()


def test_folder_is_free_again_after_a_refusal(tmp_path: Path) -> None:
    opened(tmp_path / "run").close()
    with pytest.raises(RunFolderError, match="other settings"):
        opened(tmp_path / "run", digest="xyz")
    opened(tmp_path / "run").close()


@pytest.mark.parametrize("lost", ["journal.os.open", "manifest.os.fsync"])
def test_failure_while_a_folder_is_made_leaves_one_to_continue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    opens = os.open

    def failing(first: object, *rest: object) -> int:
        """No records can be created; the lock can."""
        if str(first).endswith(".lock"):
            return opens(first, *rest)  # type: ignore[arg-type]
        return full()

    monkeypatch.setattr(f"ssd_eval.{lost}", failing)
    with pytest.raises(RunFolderError, match="No space left"):
        opened(tmp_path / "run")
    monkeypatch.undo()
    opened(tmp_path / "run").close()


def test_manifest_is_the_first_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def seen(*_: object) -> None:
        raise RuntimeError(sorted(path.name for path in (tmp_path / "run").iterdir()))

    monkeypatch.setattr("ssd_eval.store.Journal", seen)
    with pytest.raises(RuntimeError) as error:
        opened(tmp_path / "run")
    assert error.value.args[0] == [".lock", MANIFEST]


def test_manifest_is_never_ahead_of_the_records(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(tmp_path / "run") as store:
        store.add_completion(completion())
        order: list[str] = []
        real = os.fsync

        def synced(file: int) -> None:
            order.append(Path(os.readlink(f"/proc/self/fd/{file}")).name)
            real(file)

        monkeypatch.setattr("os.fsync", synced)
        store.update(seconds={})
        monkeypatch.undo()
    assert order == [COMPLETIONS, VERDICTS, f"{MANIFEST}.new"]


def test_records_are_synced_now_and_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    calls: list[int] = []
    monkeypatch.setattr("ssd_eval.journal.time.monotonic", lambda: clock[0])
    with opened(tmp_path / "run") as store:
        monkeypatch.setattr("ssd_eval.journal.os.fsync", calls.append)
        for sample in range(100):
            clock[0] += 0.1
            store.add_completion(completion(sample))
        assert 3 <= len(calls) <= 5


def test_pinned_content_may_grow_but_not_change(tmp_path: Path) -> None:
    opened(tmp_path / "run", one="aa", two="bb").close()
    opened(tmp_path / "run", one="aa").close()
    opened(tmp_path / "run", one="aa", three="cc").close()
    for pinned in ({"two": "xx"}, {"one": "aa", "three": "xx"}):
        with pytest.raises(RunFolderError, match=r"has changed since.*another --run-dir"):
            opened(tmp_path / "run", **pinned)


def test_killed_writer_leaves_every_finished_record(tmp_path: Path) -> None:
    script = (
        "import sys; sys.path.insert(0, sys.argv[2])\n"
        "from pathlib import Path\n"
        "from test_store import completion, opened\n"
        "store = opened(Path(sys.argv[1]))\n"
        "for sample in range(10**9):\n"
        "    store.add_completion(completion(sample))\n"
        "    print(sample, flush=True)\n"
    )
    arguments = [str(tmp_path / "run"), str(Path(__file__).parent)]
    with subprocess.Popen(
        [sys.executable, "-c", script, *arguments], stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout
        for line in writer.stdout:
            if int(line) == 300:
                with pytest.raises(RunFolderError, match="in use"):
                    opened(tmp_path / "run")
                writer.send_signal(signal.SIGKILL)
                break
        told = [int(line) for line in writer.stdout if line.endswith("\n")]
    with opened(tmp_path / "run") as store:
        samples = {key.sample for key in store.completions}
    assert samples == set(range(len(samples)))
    assert len(samples) > max(told, default=300)


def test_what_an_earlier_command_worked_with_stays_in_the_manifest(tmp_path: Path) -> None:
    for argv in (["sweep"], ["sweep"], ["sweep", "--limit", "3"]):
        given = {"argv": argv, "sandbox": {"tier": "A"}}
        RunStore.open(tmp_path / "run", digest="abc", manifest=given).close()
    held = json.loads((tmp_path / "run" / MANIFEST).read_text())
    assert held["argv"] == ["sweep", "--limit", "3"]
    assert held["earlier"] == [{"argv": ["sweep"]}]
