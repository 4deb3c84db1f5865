"""What `update` does. Exit: 0 nothing differs or it was written, 1 it differs and was only shown, 2 a verdict is wrong."""

import sys

import golden
from capture import read_capture, write_capture


def stored(family, end):
    file = golden.CAPTURES / f"{family}.{end}.pcap"
    return read_capture(file) if file.exists() else []


def named_before(family):
    """{name: (frame, answer)} as captures/ holds them: by the listing, whose lines stand in the frames' order."""
    file = golden.CAPTURES / f"{family}.txt"
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    names, verdicts = [line.split("  ", 1)[1].split("  ")[-1] for line in lines], [line.split()[0] for line in lines]
    answers = golden.answers_by_row(names, stored(family, "out"), verdicts) if lines else []
    return {name: (place, verdict, frame, answer)
            for place, (name, verdict, frame, answer) in enumerate(zip(names, verdicts, stored(family, "in"), answers))}


def show(family, rows, answers):
    """Prints what is new, gone or changed; returns how many frames that is. Of frames that stand elsewhere now, and so are
    answered at another time and with other nonces, only the number is told."""
    before = named_before(family)
    count = moved = 0
    for here, (row, answer) in enumerate(zip(rows, answers)):
        place, verdict, frame, expected = before.pop(row.name, (None, None, None, None))
        if place != here and (verdict, frame) == (row.verdict, row.octets) and golden.is_moved(expected, answer):
            moved += 1
            continue
        words = ""
        if verdict is None:
            words = f"new: {row.name}: {row.verdict}, {golden.short(answer)}"
        elif verdict != row.verdict or frame != row.octets:
            words = f"asked otherwise: {row.name}: {verdict} became {row.verdict}\n  before {golden.short(frame)}"
        changed = golden.difference(row.name, row.octets, expected, answer) if verdict is not None else ""
        if words or changed:
            print("\n".join(filter(None, (words, changed))))
            count += 1
    for name in before:
        print(f"gone: {name}")
    if moved:
        print(f"{moved} frames moved; their answers differ in times, nonces and seals alone")
    return count + moved + len(before)


def main():
    only_show = sys.argv[1:] == ["--show"]
    if sys.argv[1:] and not only_show:
        sys.exit("usage: tests/golden/update [--show]")
    golden.CAPTURES.mkdir(exist_ok=True)
    differing = 0
    for family in golden.FAMILIES:
        rows = golden.rows_of(family)
        frames = [row.octets for row in rows]
        verdicts = golden.replay(frames, burst=1).verdicts
        wrong = [f"{row.name}: {verdict}, and {family}.py says {row.verdict}"
                 for row, verdict in zip(rows, verdicts) if verdict != row.verdict]
        if wrong or len(verdicts) != len(rows):
            print("\n".join([f"{family}: {len(verdicts)} of {len(rows)} frames got a verdict", *wrong]))
            sys.exit(2)
        replayed = golden.replay(frames)
        answers = golden.answers_by_row(rows, replayed.answers)
        count = show(family, rows, answers)
        differing += count
        print(f"{family}: {len(rows)} frames, {len(replayed.answers)} answers, {count} differ from captures/")
        if not only_show:
            write_capture(golden.CAPTURES / f"{family}.in.pcap", [row.octets for row in rows])
            write_capture(golden.CAPTURES / f"{family}.out.pcap", replayed.answers)
            (golden.CAPTURES / f"{family}.txt").write_text(golden.listing(rows, answers), encoding="utf-8")
    sys.exit(1 if differing and only_show else 0)


if __name__ == "__main__":
    main()
