"""The C header for local programs compiles wherever its first lines say, without a warning, and elsewhere it says why."""

import subprocess
from pathlib import Path

import pytest

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
USE = """int main(void) {
  struct noonmark_clock clock;
  struct noonmark_interval now;
  int known = noonmark_clock_open(&clock, NOONMARK_CLOCK_PAGE) == 0 &&
              noonmark_clock_now(&clock, &now) == NOONMARK_CLOCK_TRUE;
  noonmark_clock_close(&clock);
  return !known;
}
"""
HEADER = '#include "noonmark_clock.h"\n'
WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wundef", "-Werror"]
ONLY_C = ["-Wconversion", "-Wsign-conversion"]


def compiled(compiler, tmp_path, source, *words, language="c"):
    file = tmp_path / "use"
    file.write_text(source)
    return subprocess.run([compiler, "-x", language, "-O2", "-c", "-I", CONFIGS, *words, file, "-o", tmp_path / "use.o"],
                          capture_output=True, text=True, check=False)


@pytest.mark.parametrize("compiler", ["gcc", "clang-14"])
@pytest.mark.parametrize("standard", ["c99", "c11", "c17", "gnu99", "gnu11", "gnu17"])
def test_it_is_clean_c_of_every_standard_when_it_comes_first(compiler, standard, tmp_path):
    done = compiled(compiler, tmp_path, HEADER + USE, f"-std={standard}", *WARNINGS, *ONLY_C)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("compiler", ["gcc", "clang-14"])
@pytest.mark.parametrize("standard", ["c++98", "c++11", "c++20"])
def test_it_is_clean_cpp_of_every_standard(compiler, standard, tmp_path):
    done = compiled(compiler, tmp_path, HEADER + USE, f"-std={standard}", *WARNINGS, language="c++")
    assert done.returncode == 0, done.stderr


def test_behind_other_headers_it_says_what_a_strict_compiler_must_be_told(tmp_path):
    source = "#include <stdio.h>\n" + HEADER + USE
    done = compiled("gcc", tmp_path, source, "-std=c11")
    assert done.returncode != 0
    assert "needs POSIX 2008: include it first, or compile with -D_POSIX_C_SOURCE=200809L" in done.stderr
    assert compiled("gcc", tmp_path, source, "-std=c11", "-D_POSIX_C_SOURCE=200809L").returncode == 0
    assert compiled("gcc", tmp_path, source, "-std=gnu11").returncode == 0


def test_it_leaves_a_gnu_program_every_declaration_that_it_had(tmp_path):
    source = HEADER + "#include <stdlib.h>\nint main(void) { return getloadavg(0, 0); }\n"  # glibc's, not of POSIX
    done = compiled("gcc", tmp_path, source, "-std=gnu11", "-Werror=implicit-function-declaration")
    assert done.returncode == 0, done.stderr


def test_on_another_machine_it_says_what_it_is_for(tmp_path):
    done = compiled("gcc", tmp_path, HEADER + USE, "-U__x86_64__")
    assert done.returncode != 0
    assert "compile for x86-64" in done.stderr
