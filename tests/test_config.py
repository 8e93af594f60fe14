"""Settings: who wins, what is refused, what names a run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ssd_eval.config import EXTENSIBLE, INCIDENTAL, RunConfig, resolve
from ssd_eval.decoding import DecodingConfig
from ssd_eval.errors import UsageError


def config(
    environ: dict[str, str] | None = None, file: Path | None = None, **flags: object
) -> RunConfig:
    return resolve(flags, config_file=file, environ=environ or {}).config


def test_later_sources_win(tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text("samples = 7\nseed = 7\nlimit = 7\n")
    environ = {"SSD_EVAL_SEED": "8", "SSD_EVAL_LIMIT": "8"}
    resolved = resolve({"limit": 9}, config_file=file, environ=environ)
    found = resolved.config
    assert (found.samples, found.seed, found.limit) == (7, 8, 9)
    assert found.t_train == 1.0
    sources = [resolved.sources[name] for name in ("samples", "seed", "limit", "t_train", "top_k")]
    assert sources == [f"file {file}", "environment", "flag", "preset organism", "default"]


def test_preset_of_a_paper_model_fixes_both_decodings() -> None:
    found = config(base="Qwen/Qwen3-4B-Instruct-2507")
    assert found.generation() == DecodingConfig(1.6, 20, 0.8)
    assert found.evaluation() == DecodingConfig(1.1, 20, 0.8)
    assert found.baseline() == DecodingConfig(0.7, 20, 0.8)
    assert found.recipe().iterations == 2500


def test_unknown_checkpoint_needs_a_named_preset() -> None:
    with pytest.raises(UsageError, match="--preset"):
        config(base="some/model")
    assert config(base="some/model", preset="organism").base == "some/model"


def test_iterations_replace_epochs() -> None:
    found = config(iterations=5)
    assert (found.epochs, found.recipe().iterations) == (None, 5)


def test_floor_follows_the_peak_learning_rate() -> None:
    usual, doubled = config().recipe(), config(lr=6e-4).recipe()
    assert doubled.peak_lr / usual.peak_lr == pytest.approx(doubled.floor_lr / usual.floor_lr)


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ({"k": (50,)}, "raise --samples or lower --k"),
        ({"k": (0,)}, "k 0 is not positive"),
        ({"t_eval": (-1.0,)}, "use 0 for greedy"),
        ({"t_eval": ()}, "at least one"),
        ({"t_eval": (1.0, 1.0)}, "twice"),
        ({"t_eval": "1,x"}, "--t-eval 'x'"),
        ({"t_eval": (float("nan"),)}, "temperature nan"),
        ({"top_p": 0.0}, "use 1 to keep every token"),
        ({"top_k": -1}, "use 0 to keep every token"),
        ({"train_top_p": 1.5}, "top_p 1.5"),
        ({"samples": 0}, "--samples 0"),
        ({"limit": 0}, "--limit 0"),
        ({"max_tokens": 0}, "--max-tokens 0"),
        ({"lr": -1.0}, "--lr -1.0"),
        ({"epochs": 1, "iterations": 1}, "not both"),
        ({"preset": "nope"}, "unknown preset"),
        ({"drop_shortest": 1.0}, "--drop-shortest"),
        ({"base": ""}, "--base '': is empty"),
        ({"distilled": " "}, "--distilled"),
        ({"train_top_p": 0.0}, "for training: top_p 0.0"),
        ({"lr": float("inf")}, "peak_lr inf"),
    ],
)
def test_nonsense_is_refused_in_one_line_with_the_fix(flags: dict[str, object], says: str) -> None:
    with pytest.raises(UsageError) as error:
        config(**flags)
    assert says in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["samples = ", "sample = 3", "\xff"])
def test_bad_config_file_is_refused_by_name(tmp_path: Path, text: str) -> None:
    file = tmp_path / "run.toml"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(UsageError, match=r"run\.toml"):
        config(file=file)


def test_missing_config_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        config(file=tmp_path / "none.toml")


def test_digest_changes_with_what_a_record_means_and_with_nothing_else() -> None:
    usual = config()
    changed = {
        "base": "x", "distilled": "y", "benchmark": "z", "seed": 1, "t_train": 2.0, "lr": 1.0,
        "max_tokens": 9, "samples_per_prompt": 3, "epochs": 9,
    }  # fmt: skip
    for name, value in changed.items():
        assert config(**{"preset": "organism", name: value}).digest() != usual.digest(), name
    free = {"t_eval": (3.0,), "top_k": 1, "top_p": 0.5, "samples": 20, "k": (2,), "limit": 5}
    free["profile"] = "official"
    free |= {"device": "cpu", "sampling_batch": 3, "unsafe": True, "data_dir": "d"}
    free |= {"tensor_parallel": 2, "data_parallel": 2, "max_model_len": 9, "base_url": "u"}
    free |= {"gpu_memory_utilization": 0.5}
    free["allow_overlap"] = True
    free |= {"tokens": "reference", "position_samples": 2, "rule": "threshold"}
    free["threshold"] = 0.5
    assert set(free) == EXTENSIBLE | INCIDENTAL
    assert config(**free).digest() == usual.digest()


def test_quick_is_smaller_and_flags_still_win() -> None:
    assert config(quick=True).limit == 24
    assert config(quick=True, limit=3).limit == 3


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("seed = 1\n\nsampels = 3", "line 3: unknown setting 'sampels'; did you mean samples?"),
        ("[train]\nlr = 1", "line 1: unknown setting 'train'"),
        ("samples = 'ten'", "run.toml: samples 'ten': input should be a valid integer"),
        ("seed = true", "run.toml: seed True: is true or false"),
        ("t_eval = [[1]]", "run.toml: t_eval [1]"),
        ("base = 3", "no preset is known"),
        ("preset = 3", "unknown preset '3'"),
        ("lr = nan", "run.toml: lr nan"),
    ],
)
def test_slip_in_a_file_is_named_with_its_place(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "run.toml"
    file.write_text(text)
    with pytest.raises(UsageError) as error:
        config(file=file)
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_file_may_give_one_value_where_a_list_is_meant(tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text("k = 1\nt_eval = 0\nunsafe = true")
    found = config(file=file)
    assert (found.k, found.t_eval, found.unsafe) == ((1,), (0.0,), True)


def test_misspelt_variable_is_refused_and_not_ignored() -> None:
    with pytest.raises(UsageError, match=r"SSD_EVAL_SAMPLE in .*did you mean samples\?"):
        config({"SSD_EVAL_SAMPLE": "3"})
    with pytest.raises(UsageError, match="SSD_EVAL_QUICK in the environment is no setting; known"):
        config({"SSD_EVAL_QUICK": "1"})
    with pytest.raises(UsageError, match=r"^SSD_EVAL_SAMPLES 'x'"):
        config({"SSD_EVAL_SAMPLES": "x"})


def test_empty_and_unrelated_variables_are_no_settings() -> None:
    environ = {"SSD_EVAL_LIMIT": "", "SSD_EVAL_SHARED_DATA": "d", "PATH": "/bin"}
    resolved = resolve({}, environ=environ)
    assert resolved.config == config()
    assert resolved.sources["limit"] == "default"


def test_variables_hold_lists_and_truth_values() -> None:
    found = config({"SSD_EVAL_T_EVAL": "0.7, 0.5,", "SSD_EVAL_UNSAFE": "1", "SSD_EVAL_K": "2"})
    assert (found.t_eval, found.unsafe, found.k) == ((0.5, 0.7), True, (2,))


def test_source_of_a_length_follows_the_one_that_replaced_it() -> None:
    sources = resolve({"iterations": 5}, environ={}).sources
    assert (sources["epochs"], sources["iterations"]) == ("flag", "flag")


def test_every_setting_has_a_source() -> None:
    resolved = resolve({"quick": True, "seed": 3}, environ={})
    assert set(resolved.sources) == set(RunConfig.model_fields)
    assert resolved.sources["limit"] == "quick"


def test_completed_folder_name_is_the_same_run() -> None:
    plain, completed = (config(base=name, preset="organism") for name in ("a/b", "a/b/"))
    assert plain.digest() == completed.digest()
    assert config(base="/", preset="organism").base == "/"


def test_settings_survive_their_json() -> None:
    found = config(quick=True, limit=3)
    assert RunConfig(**json.loads(json.dumps(found.to_json()))) == found
