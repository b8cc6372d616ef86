from omnisyn.listeners import labelled, unheard, unwatched


def test_a_label_stands_before_what_is_done_and_the_counts_stay() -> None:
    heard: list[tuple[int, int, str]] = []
    labelled(lambda *call: heard.append(call), "site 1/2: ")(3, 9, "T1→T2")
    assert heard == [(3, 9, "site 1/2: T1→T2")]


def test_who_wants_no_notes_hears_nothing(capfd) -> None:
    unheard("a note")
    unwatched(1, 2, "a step")
    assert capfd.readouterr() == ("", "")
