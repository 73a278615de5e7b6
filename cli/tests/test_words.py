from leadflow_cli.commands.send import told
from leadflow_cli.progress import describe
from leadflow_cli.sending import Sent


def test_lines_that_are_no_raw_events_are_told_with_the_first_reasons() -> None:
    sent = Sent(lines=40, refused=[(number, "not JSON") for number in range(3, 15)])
    said = told(sent)
    assert said[0] == "12 of them are no raw events, lines 3-14:"
    assert said[1] == "  line 3: not JSON"
    assert said[-1] == "  and 2 more"
    assert told(Sent(lines=1, refused=[(1, "not JSON")]))[0] == (
        "1 of them is no raw event, line 1:"
    )
    assert told(Sent(lines=40)) == []


def test_totals_that_are_nothing_are_not_told() -> None:
    totals = dict.fromkeys(
        (
            "received",
            "normalized",
            "merged",
            "quarantined",
            "dlq",
            "enrolled",
            "messages_accepted",
            "summaries_pending",
        ),
        0,
    )
    assert describe(totals) == "nothing yet"
    assert describe(totals | {"received": 3, "dlq": 1}) == "3 received · 1 dead letters"
