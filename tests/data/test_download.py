import hashlib
import io
import logging
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from sesame.data import download as module
from sesame.data.download import ARCHIVES, Archive, download, extract, main


def make_zip(*names, content=None):
    """A zip file, not compressed, so that damage stays local."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, content or name.encode() * 500)
    return buffer.getvalue()


class Server:
    """What to serve and how to misbehave; and what was asked for."""

    def __init__(self):
        self.content = make_zip("part/p232_001.wav", "part/p232_002.wav")
        self.ranges = True
        self.cut_after = []  # bytes sent per answer before the line is cut
        self.fail_with = []  # HTTP status of the next answers
        self.claimed_size = None
        self.asked = []


@pytest.fixture
def server():
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_GET(self):
            asked = self.headers.get("Range")
            state.asked.append(asked)
            if state.fail_with:
                return self.send_error(state.fail_with.pop(0))
            size = len(state.content)
            start = int(asked[6:].rstrip("-")) if asked and state.ranges else 0
            if start >= size:
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{size}")
                self.send_header("Content-Length", "0")
                return self.end_headers()
            self.send_response(206 if asked and state.ranges else 200)
            if asked and state.ranges:
                self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
            length = state.claimed_size or size - start
            self.send_header("Content-Length", str(length))
            self.end_headers()
            stop = start + state.cut_after.pop(0) if state.cut_after else size
            self.wfile.write(state.content[start:stop])

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever, args=(0.01,))
    thread.start()
    state.url = f"http://127.0.0.1:{http.server_port}/corpus.zip"
    yield state
    http.shutdown()
    thread.join()
    http.server_close()


def get(server, path, md5=None, retries=2):
    download(Archive(server.url, md5), path, retries=retries, wait_seconds=0.001)


def test_a_file_arrives_whole(server, tmp_path):
    path = tmp_path / "new" / "a.zip"
    get(server, path, hashlib.md5(server.content).hexdigest())
    assert path.read_bytes() == server.content
    assert list(path.parent.iterdir()) == [path]
    assert server.asked == [None]


def test_a_cut_download_goes_on_where_it_stopped(server, tmp_path):
    server.cut_after = [1000, 7]
    get(server, tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == server.content
    assert server.asked == [None, "bytes=1000-", "bytes=1007-"]


def test_a_later_run_goes_on_where_an_earlier_one_was_killed(server, tmp_path):
    (tmp_path / "a.zip.part").write_bytes(server.content[:1234])
    get(server, tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == server.content
    assert server.asked == ["bytes=1234-"]


def test_a_complete_part_is_recognised(server, tmp_path):
    (tmp_path / "a.zip.part").write_bytes(server.content)
    get(server, tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == server.content


def test_a_part_longer_than_the_file_is_thrown_away(server, tmp_path):
    (tmp_path / "a.zip.part").write_bytes(server.content + b"more")
    get(server, tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == server.content
    assert server.asked[-1] is None


def test_a_server_without_ranges_starts_again(server, tmp_path):
    server.ranges = False
    server.cut_after = [1000]
    get(server, tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == server.content


def test_a_busy_server_is_asked_again(server, tmp_path):
    server.fail_with = [503, 429]
    get(server, tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == server.content


def test_attempts_that_bring_something_do_not_count_as_failures(server, tmp_path):
    server.cut_after = [100] * 9
    get(server, tmp_path / "a.zip", retries=1)
    assert (tmp_path / "a.zip").read_bytes() == server.content


def test_giving_up_keeps_what_arrived_and_says_how_to_go_on(server, tmp_path):
    server.cut_after = [500, 0, 0, 0]
    with pytest.raises(ValueError, match=r"got 500 of \d+ bytes") as error:
        get(server, tmp_path / "a.zip")
    assert (tmp_path / "a.zip.part").stat().st_size == 500
    for text in (server.url, "same command", "doi.org/10.7488/ds/2117", "a.zip "):
        assert text in str(error.value)


def test_a_size_that_is_never_reached_is_an_error(server, tmp_path):
    server.ranges = False
    server.claimed_size = len(server.content) + 10
    with pytest.raises(ValueError, match=rf"of {server.claimed_size} bytes"):
        get(server, tmp_path / "a.zip")
    assert not (tmp_path / "a.zip").exists()


@pytest.mark.parametrize("status", [403, 404])
def test_a_refusal_is_told_at_once(server, tmp_path, status):
    server.fail_with = [status]
    with pytest.raises(ValueError, match=f"HTTP status {status}"):
        get(server, tmp_path / "a.zip")
    assert len(server.asked) == 1


def test_a_server_out_of_reach_is_told(tmp_path):
    archive = Archive("http://127.0.0.1:9/a.zip")
    with pytest.raises(ValueError, match="cannot download"):
        download(archive, tmp_path / "a.zip", retries=1, wait_seconds=0.001)


def test_a_wrong_checksum_is_an_error_and_the_next_run_starts_again(server, tmp_path):
    with pytest.raises(ValueError, match=r"has MD5 .* expected 0000"):
        get(server, tmp_path / "a.zip", "0000")
    assert not list(tmp_path.iterdir())


def test_a_web_page_instead_of_the_archive_is_recognised(server, tmp_path):
    # So the older addresses of DataShare answer.
    server.content = b"<html>moved</html>"
    with pytest.raises(ValueError, match="is not a zip file"):
        get(server, tmp_path / "a.zip")
    assert not list(tmp_path.iterdir())


def test_a_file_put_there_by_hand_is_checked_not_deleted(server, tmp_path):
    path = tmp_path / "a.zip"
    path.write_bytes(server.content)
    get(server, path)
    assert server.asked == []
    with pytest.raises(ValueError, match="has MD5"):
        get(server, path, "0000")
    assert path.exists()


@pytest.mark.parametrize("top", ["", "part/", "deep/er/"])
def test_audio_lies_flat_whatever_the_folders_inside(tmp_path, top):
    names = ["b.wav", "a.flac", "__MACOSX/._b.wav", "._c.wav", "readme.txt", "empty/"]
    (tmp_path / "a.zip").write_bytes(make_zip(*(top + name for name in names)))
    extract(tmp_path / "a.zip", tmp_path / "out")
    files = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert set(files) == {"a.flac", "b.wav"}
    assert files["b.wav"] == f"{top}b.wav".encode() * 500


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["ok.wav", "../evil.wav"], "unsafe path"),
        (["/etc/evil.wav"], "unsafe path"),
        (["a\\..\\..\\evil.wav"], "unsafe path"),
        (["C:evil.wav"], "unsafe path"),
        (["a/x.wav", "b/x.wav"], r"x\.wav twice"),
        (["readme.txt"], r"no \.wav or \.flac"),
    ],
)
def test_suspicious_archives_are_refused_whole(tmp_path, names, message):
    (tmp_path / "a.zip").write_bytes(make_zip(*names))
    with pytest.raises(ValueError, match=message):
        extract(tmp_path / "a.zip", tmp_path / "in" / "out")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [
        tmp_path / "a.zip"
    ]
    assert not (tmp_path / "in" / "out").exists()


@pytest.mark.parametrize("damage", ["bit", "tail", "text"])
def test_a_corrupt_archive_is_named_and_nothing_is_left(tmp_path, damage):
    content = bytearray(make_zip("a.wav", "b.wav", content=b"x" * 5000))
    if damage == "bit":
        content[8000] ^= 1
    if damage == "tail":
        del content[6000:]
    if damage == "text":
        content = b"no zip"
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.zip is corrupt .* download it again"):
        extract(tmp_path / "a.zip", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]


def test_a_disk_too_small_is_told_before_unpacking(tmp_path, monkeypatch):
    usage = type("Usage", (), {"free": 10})
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: usage)
    (tmp_path / "a.zip").write_bytes(make_zip("a.wav"))
    with pytest.raises(ValueError, match=r"needs \d+ bytes, .* has 10"):
        extract(tmp_path / "a.zip", tmp_path / "out")


def test_command_downloads_unpacks_and_says_what_is_next(server, tmp_path, caplog):
    archives = {name: Archive(server.url) for name in ("clean", "noisy")}
    with caplog.at_level(logging.INFO):
        assert main([str(tmp_path), "--parts", "noisy"], archives) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["noisy", "noisy.zip"]
    assert "python train.py hparams/sesame.yaml --data_folder" in caplog.text
    assert main([str(tmp_path)], archives) == 0
    assert len(server.asked) == 2
    assert (tmp_path / "clean" / "p232_002.wav").is_file()


def test_command_reports_an_error_without_a_traceback(server, tmp_path, caplog):
    server.fail_with = [404]
    assert main([str(tmp_path)], {"clean": Archive(server.url)}) == 1
    assert "Error: cannot download" in caplog.text
    assert "Next:" not in caplog.text


def test_an_unknown_part_is_refused(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main([str(tmp_path), "--parts", "lyrics"])
    assert "clean_testset_wav" in capsys.readouterr().err


def test_the_published_archives_are_four_folders_of_the_corpus():
    assert set(ARCHIVES) == {
        f"{kind}_{part}_wav"
        for kind in ("clean", "noisy")
        for part in ("trainset_28spk", "testset")
    }
    assert len({archive.url for archive in ARCHIVES.values()}) == 4
    for archive in ARCHIVES.values():
        assert archive.url.startswith("https://datashare.ed.ac.uk/")
        assert len(bytes.fromhex(archive.md5)) == 16
