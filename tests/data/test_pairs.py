import pytest

from sesame.data.pairs import corpus_files, listed_pairs, match_pairs, read_list


@pytest.fixture
def folders(tmp_path):
    """Empty files: pairing looks at names only."""

    def make(noisy, clean):
        for folder, names in (("noisy", noisy), ("clean", clean)):
            (tmp_path / folder).mkdir()
            for name in names:
                (tmp_path / folder / name).touch()
        return tmp_path / "noisy", tmp_path / "clean"

    return make


def test_pairs_are_matched_by_name_and_sorted(folders):
    noisy, clean = folders(["b.wav", "a.flac", "c.WAV"], ["c.wav", "b.flac", "a.flac"])
    pairs = match_pairs(noisy, clean)
    assert [pair.item_id for pair in pairs] == ["a", "b", "c"]
    assert pairs[1].noisy == noisy / "b.wav"
    assert pairs[1].clean == clean / "b.flac"


@pytest.mark.parametrize(
    ("noisy", "clean", "message"),
    [
        (
            ["a.wav", "b.wav", "c.wav"],
            ["a.wav"],
            r"noisy/b\.wav .* \(2 such files of 3",
        ),
        (["a.wav"], ["a.wav", "b.wav"], r"clean/b\.wav has no partner in .*noisy"),
        ([], ["a.wav"], r"no \.wav or \.flac file in .*noisy"),
        (["a.wav", "a.flac"], ["a.wav"], r"a\.flac and .*a\.wav must not share"),
    ],
)
def test_a_file_without_its_one_partner_is_named(folders, noisy, clean, message):
    with pytest.raises(ValueError, match=message):
        match_pairs(*folders(noisy, clean))


def test_hidden_and_other_files_are_left_out(folders):
    noisy, _ = folders(["a.wav", "._a.wav", "readme.txt", ".b.wav"], [])
    assert list(corpus_files(noisy)) == ["a"]


def test_list_forms_of_mp_senet_and_others_are_read(tmp_path):
    path = tmp_path / "training.txt"
    path.write_text(
        "p226_001|VoiceBank+DEMAND/wav_clean/p226_001.wav\n"
        "\n"
        "p226_002\r\n"
        "x|C:\\corpus\\p226_003.flac|Please call Stella.\n"
        "y | p226_004 |\n"
        "z|../../etc/p226.005\n",
        newline="",
    )
    assert read_list(path) == {
        "p226_001": "p226_001",
        "p226_002": "p226_002",
        "x": "p226_003",
        "y": "p226_004",
        "z": "p226.005",
    }


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"a\na|x.wav", "line 2: id a is listed twice"),
        (b"|x.wav", "line 1: expected id"),
        (b"a|folder/.wav", "line 1: expected id"),
        (b"\xff\xfe\x00", "cannot read list"),
    ],
)
def test_a_wrong_list_is_refused_with_its_line(tmp_path, content, message):
    path = tmp_path / "training.txt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_list(path)


def test_listed_pairs_keep_the_order_of_the_list(folders):
    noisy, clean = folders(["a.wav", "b.wav", "c.wav"], ["a.wav", "b.flac", "c.wav"])
    pairs = listed_pairs({"two": "b", "one": "a"}, noisy, clean)
    assert [pair.item_id for pair in pairs] == ["two", "one"]
    assert pairs[0].clean == clean / "b.flac"


def test_a_listed_file_that_is_missing_is_named(folders):
    noisy, clean = folders(["a.wav", "b.wav"], ["a.wav"])
    with pytest.raises(
        ValueError, match=r"b\.wav is listed but not in .*clean \(1 such"
    ):
        listed_pairs({"a": "a", "b": "b"}, noisy, clean)
