import json

import pytest

from sesame.data.manifest import (
    read_manifest,
    templated_path,
    write_json,
    write_manifest,
)

ENTRY = {"noisy_wav": "{data_root}/n.wav", "clean_wav": "c.wav", "length": 1.5}


def test_written_manifest_is_read_back_with_its_folders(tmp_path):
    path = tmp_path / "new" / "train.json"
    write_manifest(path, {"b": ENTRY, "a": ENTRY | {"clean_wav": "{save_root}/c.wav"}})
    entries = read_manifest(path, "/corpus")
    assert list(entries) == ["b", "a"]
    assert entries["b"] == ENTRY | {"noisy_wav": "/corpus/n.wav"}
    assert entries["a"]["clean_wav"] == f"{path.parent}/c.wav"


def test_speechbrain_reads_the_manifest(tmp_path):
    dataio = pytest.importorskip("speechbrain.dataio.dataio")
    write_manifest(tmp_path / "train.json", {"a": ENTRY})
    entries = dataio.load_data_json(tmp_path / "train.json", {"data_root": "/corpus"})
    assert entries["a"]["noisy_wav"] == "/corpus/n.wav"


@pytest.mark.parametrize("name", ["plain.wav", "{braces}.wav", "{data_root}.wav", "}{"])
def test_any_file_name_survives_the_template(tmp_path, name):
    path = tmp_path / "corpus" / name
    text = templated_path(path, data_root=tmp_path / "corpus")
    write_manifest(tmp_path / "m.json", {"a": ENTRY | {"noisy_wav": text}})
    entries = read_manifest(tmp_path / "m.json", "/elsewhere")
    assert entries["a"]["noisy_wav"] == f"/elsewhere/{name}"


def test_path_outside_every_root_stays_absolute(tmp_path):
    assert templated_path(tmp_path / "a", data_root="/nowhere") == f"{tmp_path}/a"


def test_first_root_that_contains_the_path_is_named(tmp_path):
    text = templated_path(tmp_path / "s" / "a", save=tmp_path / "s", data=tmp_path)
    assert text == "{save}/a"


@pytest.mark.parametrize("content", [float("nan"), {1, 2}, {"a": object()}])
def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, content):
    path = tmp_path / "a.json"
    write_json(path, 1)
    with pytest.raises((ValueError, TypeError)):
        write_json(path, content)
    assert json.loads(path.read_text()) == 1
    assert list(tmp_path.iterdir()) == [path]


def test_a_write_that_cannot_be_finished_cleans_up(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError("no space left")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="no space left"):
        write_json(tmp_path / "a.json", 1)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({}, "at least one utterance"),
        ({"a": {"noisy_wav": "n"}}, "a lacks clean_wav, length"),
        ({"a": ENTRY | {"length": 0}}, r"length of a \(0 s\) must be positive"),
    ],
)
def test_wrong_entries_are_refused_when_writing_and_reading(tmp_path, entries, message):
    path = tmp_path / "m.json"
    with pytest.raises(ValueError, match=message):
        write_manifest(path, entries)
    assert not path.exists()
    path.write_text(json.dumps(entries))
    with pytest.raises(ValueError, match=message):
        read_manifest(path, "/")


@pytest.mark.parametrize("content", [b"", b"[1]", b"\xff\xff", b"{"])
def test_a_broken_manifest_is_named(tmp_path, content):
    path = tmp_path / "m.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"m\.json"):
        read_manifest(path, "/")


def test_missing_manifest_and_unknown_folder_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"absent\.json"):
        read_manifest(tmp_path / "absent.json", "/")
    write_manifest(tmp_path / "m.json", {"a": ENTRY | {"clean_wav": "{x}/c.wav"}})
    with pytest.raises(ValueError, match="'x'"):
        read_manifest(tmp_path / "m.json", "/")
