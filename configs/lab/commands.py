"""Running other programs to their end, with one kind of failure."""

import subprocess


class LabError(Exception):
    """Something in the lab did not work. The text is one sentence that says what to do or where to look."""


def run(*argv, timeout_s=60, check=True, **options):
    """Runs a program to its end and returns its CompletedProcess with text output.

    Raises LabError when it fails (unless check=False) or takes longer than timeout_s.
    """
    words = [str(word) for word in argv]
    try:
        done = subprocess.run(words, capture_output=True, text=True, errors="replace", timeout=timeout_s,
                              stdin=subprocess.DEVNULL, **options)
    except subprocess.TimeoutExpired as slow:
        raise LabError(f"'{' '.join(words)}' did not end within {timeout_s} s") from slow
    except OSError as missing:
        raise LabError(f"cannot start '{words[0]}': {missing.strerror}") from missing
    if check and done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip() or "nothing")[-2000:]
        raise LabError(f"'{' '.join(words)}' ended with {done.returncode} and said: {said}")
    return done
