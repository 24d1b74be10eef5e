import os

import pytest

from sesame.inference.audio_search import UsageError, find_audio, is_audio, read_list


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """Makes files below a folder that is the working directory."""
    monkeypatch.chdir(tmp_path)

    def make(*names):
        for name in names:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return tmp_path

    return make


def found(text, tmp_path, out="out", **options):
    return sorted(name for _, name in find_audio(text, tmp_path / out, **options))


def test_a_folder_is_searched_to_any_depth_and_keeps_its_tree(tree):
    root = tree("in/a.wav", "in/b/a.wav", "in/b/c/d.FLAC", "in/notes.txt", "in/wav")
    assert found("in", root) == ["a.wav", "b/a.wav", "b/c/d.FLAC"]


def test_recordings_that_have_to_be_converted_first_are_found(tree):
    assert found("in", tree("in/a.m4a", "in/film.mp4")) == ["a.m4a"]
    assert is_audio("a.wma") and not is_audio("a.mat")


def test_hidden_files_and_folders_are_no_inputs(tree):
    root = tree("in/.a.x1y2z3.wav", "in/.cache/b.wav", "in/c.wav")
    assert found("in", root) == ["c.wav"]
    assert found("in/**/*.wav", root) == ["c.wav"]
    assert found("*/*", root) == ["in/c.wav"]


def test_results_below_the_inputs_are_no_inputs(tree):
    root = tree("in/a.wav", "in/out/a.wav", "in/out/b/a.wav")
    for text in ("in", "in/**/*.wav", "i*", str(root / "in"), "."):
        names = found(text, root, out="in/out")
        assert [name.split("/")[-1] for name in names] == ["a.wav"], text


def test_a_folder_of_results_that_is_the_folder_of_inputs_hides_nothing(tree):
    # What is planned then is refused later, because results would replace inputs.
    root = tree("in/a.wav", "in/b/a.wav")
    for text in ("in", "in/**/*.wav"):
        assert found(text, root, out="in") == ["a.wav", "b/a.wav"]


def test_links_to_folders_are_not_followed_but_those_to_files_are(tree):
    root = tree("in/a.wav", "other/b.wav")
    os.symlink(root / "other", root / "in/other")
    os.symlink(root / "in", root / "in/itself")
    os.symlink(root / "other/b.wav", root / "in/b.wav")
    assert found("in", root) == ["a.wav", "b.wav"]


def test_a_link_is_followed_where_it_is_the_input(tree):
    root = tree("other/b.wav")
    os.symlink(root / "other", root / "in")
    assert found("in", root) == ["b.wav"]


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("in/*.wav", ["a.wav"]),
        ("in/**/*.wav", ["a.wav", "b/a.wav", "b/c/a.wav"]),
        ("in/*/a.wav", ["b/a.wav"]),
        ("in/?", ["b/a.wav", "b/c/a.wav"]),
        ("in/[xyz]*/../a.wav", ["a.wav"]),
    ],
)
def test_a_pattern_keeps_the_tree_below_its_first_wildcard(tree, pattern, names):
    root = tree("in/a.wav", "in/b/a.wav", "in/b/c/a.wav", "in/xx/notes.txt")
    assert sorted(set(found(pattern, root))) == names


def test_a_name_with_wildcards_in_it_that_exists_is_that_file(tree):
    root = tree("in/a[1].wav", "in/a1.wav", "c[d]/e.wav")
    assert found("in/a[1].wav", root) == ["a[1].wav"]
    assert found("c[d]", root) == ["e.wav"]


def test_a_list_in_a_folder_with_wildcards_in_its_name_can_hold_patterns(tree):
    root = tree("x[1]/a.wav", "x1/b.wav")
    names = found("*.wav", root, list_folder=root / "x[1]")
    assert names == ["a.wav"]


def test_a_path_that_does_not_exist_stands_for_itself(tree):
    root = tree("in/a.wav")
    assert find_audio("in/absent.wav", root / "out")[0][0].name == "absent.wav"


@pytest.mark.parametrize("text", ["in", "in/*.wav", "absent/*.wav", ""])
def test_an_input_without_audio_is_a_wrong_argument(tree, text):
    root = tree("in/notes.txt")
    with pytest.raises(UsageError):
        find_audio(text, root / "out")


def test_relative_lines_of_a_list_keep_their_paths(tree):
    root = tree("lists/a/x.wav", "lists/b/x.wav", "other/x.wav")
    lists = root / "lists"
    assert found("a/x.wav", root, list_folder=lists) == ["a/x.wav"]
    assert found("b", root, list_folder=lists) == ["b/x.wav"]
    assert found("*/x.wav", root, list_folder=lists) == ["a/x.wav", "b/x.wav"]
    assert found("a/../b/x.wav", root, list_folder=lists) == ["b/x.wav"]
    assert found(str(root / "other/x.wav"), root, list_folder=lists) == ["x.wav"]


def test_a_folder_that_cannot_be_read_is_not_passed_over(tree, monkeypatch):
    root = tree("in/a.wav", "in/locked/b.wav")
    scan = os.scandir

    def refuse(path):
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(PermissionError, match="locked"):
        find_audio("in", root / "out")


def test_lists_hold_any_file_name(tmp_path):
    path = tmp_path / "list.txt"
    names = ["a b.wav", "-c.wav", "d\u00e9.wav", "#1.wav", os.fsdecode(b"\xff.wav")]
    path.write_bytes(b"\xef\xbb\xbf" + b"\r\n\n".join(map(os.fsencode, names)) + b"\n ")
    assert read_list(path) == names
