from pathlib import Path

from leadflow_cli.logs import excerpt, rotate


def written(folder: Path, *lines: str) -> Path:
    log = folder / "kafka.log"
    log.write_text("\n".join(lines) + "\n")
    return log


def test_lines_that_speak_of_an_error_come_first(tmp_path: Path) -> None:
    log = written(tmp_path, "FATAL the port is taken", "bye", "done")
    told = [line.strip(" |") for line in excerpt(log).splitlines() if "|" in line]
    assert told == ["FATAL the port is taken", "bye", "done"]


def test_an_error_far_above_the_end_is_still_told(tmp_path: Path) -> None:
    log = written(tmp_path, "ERROR the cause", *(f"line {n}" for n in range(100)))
    told = [line.strip(" |") for line in excerpt(log, lines=4).splitlines() if "|" in line]
    assert told == ["ERROR the cause", "line 97", "line 98", "line 99"]


def test_a_full_disk_is_told_however_many_errors_follow(tmp_path: Path) -> None:
    log = written(
        tmp_path, "write: No space left on device", *(f"ERROR number {n}" for n in range(50))
    )
    assert "No space left on device" in excerpt(log)


def test_stack_frames_are_left_out(tmp_path: Path) -> None:
    log = written(
        tmp_path,
        "Traceback (most recent call last):",
        '  File "error.py", line 1, in <module>',
        "ValueError: wrong",
        "\tat kafka.Error.main(Error.scala:97)",
    )
    told = excerpt(log)
    assert "ValueError: wrong" in told
    assert "File" not in told
    assert "Error.scala" not in told
    assert "Traceback" not in told


def test_a_log_that_is_missing_or_empty_is_said(tmp_path: Path) -> None:
    assert "no log" in excerpt(tmp_path / "absent.log")
    assert "says nothing" in excerpt(written(tmp_path, ""))


def test_only_the_run_before_is_kept(tmp_path: Path) -> None:
    for run in ("first", "second"):
        log = written(tmp_path, run)
        rotate(log)
    assert not log.exists()
    assert log.with_name("kafka.log.1").read_text() == "second\n"
