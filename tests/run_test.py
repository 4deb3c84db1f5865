"""What tests/support/run.py makes of a pytest run: nothing that broke, hung or was left out may look like a success."""

import os
import subprocess
import threading
import time

import pytest

import run

GOOD = "def test_good():\n    pass\n"


@pytest.fixture(name="counted")
def fixture_counted(tmp_path):
    """Runs a file of this text as tests/run does; returns the counts."""
    def counted(text, **more):
        file = tmp_path / "some_test.py"
        file.write_text(text, encoding="ascii")
        counts = run.Counts()
        environment = {name: value for name, value in os.environ.items() if name != "NOONMARK_LONG"}
        run.run_pytest([file], counts, environment, **more)
        return counts
    return counted


def figures(counts):
    return counts.passed, counts.failed, counts.skipped


def test_each_case_is_counted_once(counted, capsys):
    assert figures(counted(GOOD + """
import pytest
def test_bad():
    assert 1 == 2
def test_not_here():
    pytest.skip("no such machine")
""")) == (1, 1, 1)
    said = capsys.readouterr().out
    assert "FAILED  some_test.test_bad" in said and "assert 1 == 2" in said
    assert "skipped some_test.test_not_here: no such machine" in said


@pytest.mark.parametrize("text", [
    "import nowhere_to_be_found\n" + GOOD,  # a report with an error
    "x = 1\n",  # nothing to run
    GOOD + "def test_leaves():\n    import os; os._exit(0)\n",  # no report
    GOOD + "import pytest\ndef test_stops():\n    pytest.exit('enough')\n"
    "def test_never_run():\n    pass\n",
    GOOD + "def test_breaks_off():\n    raise KeyboardInterrupt\ndef test_never_run():\n    pass\n",
    GOOD + "import pytest\n@pytest.fixture\ndef site():\n    yield\n    raise OSError\ndef test_ends(site):\n    pass\n",
], ids=["import", "empty", "exit", "stopped", "interrupted", "teardown"])
def test_a_file_that_breaks_is_a_failure(counted, text):
    assert counted(text).failed >= 1


def test_a_file_that_breaks_pytest_is_a_failure_though_there_is_a_report(counted, tmp_path):
    (tmp_path / "conftest.py").write_text("def pytest_sessionfinish(session):\n    raise ValueError('internal')\n",
                                          encoding="ascii")
    counts = counted(GOOD)
    assert counts.passed <= 1 and counts.failed == 1


def test_what_a_thread_raises_fails_its_test(counted):
    counts = counted("import threading\ndef test_threads():\n"
                     "    thread = threading.Thread(target=lambda: 1 // 0)\n    thread.start()\n    thread.join()\n" + GOOD)
    assert figures(counts) == (1, 1, 0)


def test_a_file_that_hangs_is_interrupted_takes_down_what_it_made_and_is_a_failure(counted, tmp_path):
    counts = counted(GOOD + f"""
import time, pytest
@pytest.fixture
def site():
    yield
    open({str(tmp_path / "taken down")!r}, "w").close()
def test_hangs(site):
    time.sleep(600)
""", seconds_max=3)
    assert counts.failed >= 1 and (tmp_path / "taken down").exists()


def test_what_is_only_long_is_named_and_in_no_count(counted):
    counts = counted(GOOD + """
import pytest
from only_long import long_only
@long_only
@pytest.mark.parametrize("name", ["a", "b"])
def test_takes_hours(name):
    raise AssertionError
""")
    assert figures(counts) == (1, 0, 0)
    assert dict(counts.only_long) == {"some_test.test_takes_hours": 2}


def test_the_line_of_what_is_only_long_stands_before_the_counts(tmp_path, monkeypatch, capsys):
    file = tmp_path / "some_test.py"
    file.write_text("from only_long import long_only\n@long_only\ndef test_x():\n    pass\n" + GOOD, encoding="ascii")
    monkeypatch.setattr(run, "build", lambda counts: counts.case_passed() or True)
    monkeypatch.setattr("sys.argv", ["tests/run", str(file)])
    monkeypatch.delenv("NOONMARK_LONG", raising=False)
    assert run.main() == 0
    assert capsys.readouterr().out.splitlines()[-2:] == [
        "1 cases more in `tests/run long`: some_test.test_x (1)", "2 passed, 0 failed, 0 skipped"]


def test_a_command_that_fails_is_a_failed_case(monkeypatch):
    counts = run.Counts()
    assert not run.run_quietly(counts, "build", ["true"], ["false"], ["true"])
    assert figures(counts) == (0, 1, 0)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("nothing to run"))
    assert run.run_quietly(counts, "nothing")


def test_works_of_all_lanes_run_at_once_and_each_lane_keeps_its_number():
    together, lock, busy, most = threading.Barrier(3), threading.Lock(), [0, 0], [0, 0]

    def work(lane):
        with lock:
            busy[lane] += 1
            most[lane] = max(most[lane], busy[lane])
        together.wait(60)  # broken, and the test with it, if these did not run side by side
        with lock:
            busy[lane] -= 1
    counts = run.Counts()
    run.run_side_by_side(counts, ([(f"first{number}", lambda: work(0)) for number in range(4)], 2),
                         ([(f"second{number}", lambda: work(1)) for number in range(2)], 1))
    assert most == [2, 1]
    assert len(counts.slowest().split(", ")) == 6 and counts.slowest() == "", "told once"


def test_what_a_work_raises_ends_the_run():
    with pytest.raises(ZeroDivisionError):
        run.run_side_by_side(run.Counts(), ([("good", int), ("bad", lambda: 1 // 0)], 1))
    ran = []
    with pytest.raises(ZeroDivisionError):
        run.run_side_by_side(run.Counts(), ([("bad", lambda: 1 // 0), ("slow", lambda: time.sleep(0.5)),
                                             ("never", lambda: ran.append(1))], 1))
    assert not ran


def test_every_file_that_is_treated_in_its_own_way_is_there():
    there = {path.name for group in run.LAB_GROUPS for path in (run.ROOT / "tests" / group).glob("*_test.py")}
    assert {*run.ALONE, *run.WAITING} <= there and not set(run.ALONE) & set(run.WAITING)


def test_an_executable_that_breaks_is_a_failure_whatever_fails_beside_it(tmp_path):
    class OfTwoLanes(run.Counts):
        def case_passed(self):
            super().case_passed()
            self.case_failed("another executable's")
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\necho '{\"testsuites\": [{\"name\": \"A\", \"testsuite\": [{\"name\": \"b\", "
                       "\"result\": \"COMPLETED\"}]}]}' >${1#*json:}\nexit 3\n", encoding="ascii")
    program.chmod(0o755)
    counts = OfTwoLanes()
    run.run_gtest("program", [program], counts, dict(os.environ))
    assert figures(counts) == (1, 2, 0)
