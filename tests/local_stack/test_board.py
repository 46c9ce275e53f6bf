"""What a person sees while the stack works."""

from io import StringIO

from rich.console import Console

from local_stack.board import Board


def terminal() -> tuple[Console, StringIO]:
    output = StringIO()
    return Console(file=output, force_terminal=True, width=100, height=40, color_system=None), output


def final_frame(output: StringIO) -> str:
    """The frame that stays on the screen: what follows the last cursor movement."""
    return output.getvalue().rsplit("\x1b[2K", 1)[-1]


def test_without_a_terminal_each_change_is_one_line() -> None:
    output = StringIO()
    with Board(Console(file=output, width=200)) as board:
        board.set("Services", "Airbyte", "busy", "http://127.0.0.1:8000")
        board.set("Services", "Airbyte", "busy", "http://127.0.0.1:8000")
        board.set("Services", "Airbyte", "done", "http://127.0.0.1:8000")
    lines = output.getvalue().splitlines()
    assert [line.split("s  ", 1)[1] for line in lines] == [
        "> Services: Airbyte http://127.0.0.1:8000",
        "✓ Services: Airbyte http://127.0.0.1:8000",
    ]


def test_a_terminal_keeps_what_goes_on_in_view() -> None:
    console, output = terminal()
    with Board(console) as board:
        board.set("Services", "Postgres", "done", "port 5433")
        board.set("Services", "Airbyte", "done", "http://127.0.0.1:8000")
        board.set("Pipeline", "Tasks", "busy", "3 of 12 done", share=(3, 12))
        board.set("Pipeline", "dbt.stg_orders.run", "done", passing=True)
        board.set("Pipeline", "dbt.fct_orders.run", "busy", passing=True)
        board.set("Pipeline", "dbt.fct_sales.test", "failed")
    frame = final_frame(output)
    assert "✓ Services" in frame and "Postgres" not in frame
    assert "3 of 12 done" in frame and "dbt.fct_orders.run" in frame and "✗ dbt.fct_sales.test" in frame
    assert "stg_orders" not in frame
