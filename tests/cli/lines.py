"""What a command says when it refuses."""


def error_line(text: str) -> str:
    """The one line on stderr."""
    (line,) = text.splitlines()
    assert line.startswith("omnisyn: ")
    return line
