"""What a question lays on disk for a moment is gone afterwards, also when its process was killed."""

import signal
import subprocess
import sys

from byok.store.spill import Spill, clear

_LEAVE = "import sys, time; from pathlib import Path; from byok.store.spill import Spill; s = Spill(Path(sys.argv[1])); "
_LEAVE += "(s.folder / 'rows').write_text('usr_ada1'); print(s.folder, flush=True); time.sleep(60)"


def left_by_a_killed_process(root):
    process = subprocess.Popen([sys.executable, "-c", _LEAVE, str(root)], stdout=subprocess.PIPE, text=True)
    folder = root / process.stdout.readline().strip()
    assert (folder / "rows").read_text() == "usr_ada1"
    clear(root)
    assert (folder / "rows").exists(), "a folder in use was removed"
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    return folder


def test_a_folder_goes_when_it_is_closed_and_is_private(tmp_path):
    spill = Spill(tmp_path / "spill")
    assert spill.folder.parent == tmp_path / "spill" and spill.folder.stat().st_mode & 0o077 == 0
    spill.close()
    assert list((tmp_path / "spill").iterdir()) == []


def test_what_a_killed_process_left_is_removed_by_the_next_engine(tmp_path):
    folder = left_by_a_killed_process(tmp_path)
    spill = Spill(tmp_path)
    assert list(tmp_path.iterdir()) == [spill.folder] and spill.folder != folder
    spill.close()


def test_and_by_a_deletion(tmp_path):
    left_by_a_killed_process(tmp_path)
    clear(tmp_path)
    assert list(tmp_path.iterdir()) == []
    clear(tmp_path / "never made")


def test_without_a_writable_data_directory_another_place_is_taken(tmp_path):
    (tmp_path / "file").write_text("")
    spill = Spill(tmp_path / "file" / "spill")
    assert spill.folder.is_dir() and tmp_path not in spill.folder.parents
    spill.close()
