"""Words of others, made fit to be shown: on a terminal, in a table, in a figure."""


def printable(text: str) -> str:
    """The text with each character that is not printed written as its escape: a newline as `\\n`, ESC as `\\x1b`.

    Names of folders, kinds of text and messages may hold characters that move the cursor, begin a line of their own,
    or turn the direction of writing: what they say must not look like something that the program says.
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
