"""What a function measured."""

import html
import json
from pathlib import Path


class Result(dict):
    """The JSON of a command as a dictionary; prints as the command line's table.

    >>> result = Result({"rows": [1]}, "a table")
    >>> result["rows"], str(result)
    ([1], 'a table')
    """

    def __init__(self, values, text="", html=""):
        super().__init__(values)
        self.text = text
        self.html = html

    def __str__(self):
        return self.text

    def _repr_html_(self):
        return self.html and f'<iframe srcdoc="{html.escape(self.html)}" width="100%" height="600"></iframe>'

    def save(self, path):
        """Writes the report (.html), the table (.txt) or everything (.json).

        >>> Result({"rows": [1]}, "a table").save(folder / "result.txt")
        >>> (folder / "result.txt").read_text()
        'a table'
        """
        path = Path(path)
        contents = {".html": self.html, ".txt": self.text, ".json": json.dumps(self, indent=2) + "\n"}
        content = contents.get(path.suffix.lower())
        if not content:
            raise ValueError(f"{path}: expected a name in .json, .txt" + (", .html" if self.html else ""))
        path.write_text(content, encoding="utf-8")
