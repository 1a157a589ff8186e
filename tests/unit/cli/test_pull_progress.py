import io

from rich.console import Console
from rich.progress import Progress, TextColumn

from kuaimei.cli.pull_progress import BarProgress, LineProgress


def test_a_log_gets_stages_and_now_and_then_how_far_it_is() -> None:
    lines: list[str] = []
    now = 100.0
    progress = LineProgress(lines.append, clock=lambda: now)

    progress.set_total("a", 300_000_000)
    progress.set_total("b", 100_000_000)
    progress.say("a", "downloading")
    for _ in range(10):
        now += 1.0
        progress.advance("a", 10_000_000)
    progress.say("a", "converting 4 %")
    progress.say("a", "converting 50%")
    progress.say("a", "ready")

    assert lines == [
        "a: downloading",
        "50 MB of 400 MB, 10 MB/s, 35 s left",
        "100 MB of 400 MB, 10 MB/s, 30 s left",
        "a: converting",
        "a: ready",
    ]


def test_a_terminal_gets_a_bar_for_each_and_one_for_all() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    with Progress(TextColumn("{task.description}"), console=console) as shown:
        progress = BarProgress(shown)
        progress.set_total("a", 100)
        progress.advance("a", 60)
        progress.set_total("b", 50)
        progress.advance("b", 50)
        progress.advance("b", -20)
        progress.say("b", "converting 5%")

        found = {task.description: (task.completed, task.total) for task in shown.tasks}
        assert found == {"all": (90, 150), "a": (60, 100), "b": (30, 50)}
        assert [task.fields["what"] for task in shown.tasks] == ["", "", "converting 5%"]
