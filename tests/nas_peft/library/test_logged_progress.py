"""Messages and stages of a run at a logger."""

import logging

from nas_peft.library.logged_progress import LoggedProgress


def test_messages_and_stages_are_logged_and_nothing_is_printed(caplog, capfd):
    with caplog.at_level(logging.DEBUG, logger="nas_peft"), LoggedProgress() as progress:
        progress.say("plan: 5% of [time]")
        with progress.counted("search (candidates)", 3) as bar:
            for _ in range(3):
                bar()
    messages = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert messages[:2] == [("INFO", "plan: 5% of [time]"), ("DEBUG", "search (candidates): begins")]
    assert messages[2][0] == "INFO"
    assert messages[2][1].startswith("search (candidates): 3 in ")
    assert capfd.readouterr() == ("", "")
