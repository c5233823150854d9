"""What the scripts about other systems' tokens share: the queries of docs/moving.md, and the vectors' files.

Needs Python's standard library alone. A vector has the rows as the database held them, the tokens as their clients
present them, and what the rows mean, as the script that made them knows it; see the README beside the vectors.
"""

import json
import os
import pathlib
import re
import sqlite3

PAGE = pathlib.Path(__file__).parent.parent / "docs" / "moving.md"


def query(title):
    """The SQL of the page whose first line is `-- title`."""
    blocks = re.findall(r"```sql\n-- ([^\n]+)\n(.*?)\n```", PAGE.read_text(), re.DOTALL)
    found = [sql for name, sql in blocks if name == title]
    assert len(found) == 1, f"docs/moving.md has {len(found)} queries called {title!r}"
    return found[0]


def lines(texts):
    """JSON lines as the query gives them, in an order that does not depend on the database."""
    return sorted((json.loads(text) for text in texts), key=lambda line: line.get("digest") or line["token"])


def exported(path, title):
    """What the page's query gives on a SQLite file."""
    with sqlite3.connect(path) as connection:
        return lines(text for (text,) in connection.execute(query(title)))


def stored(value):
    """A stored value as JSON has it: bytes as an object."""
    return {"hex": value.hex()} if isinstance(value, bytes) else value


def tables(path, *names):
    """The statements that made these tables of a SQLite file, and their rows."""
    with sqlite3.connect(path) as connection:
        connection.row_factory = sqlite3.Row
        schema, rows = [], {}
        for name in names:
            found = connection.execute("SELECT sql FROM sqlite_master WHERE type = 'table' AND name = ?", (name,))
            schema.append(found.fetchone()["sql"])
            rows[name] = [
                {column: stored(value) for column, value in zip(row.keys(), row)}
                for row in connection.execute(f'SELECT * FROM "{name}" ORDER BY rowid')
            ]
    return {"database": "sqlite", "schema": schema, "rows": rows}


def altered(token):
    """The token with one character changed, and still of its alphabet."""
    last = token[-1]
    return token[:-1] + ("b" if last == "a" else "a")


def made_by(*packages):
    """The packages with their versions."""
    from importlib.metadata import version

    return ", ".join(f"{package} {version(package)}" for package in packages)


def write(name, **vector):
    """Writes the vectors, if the script was asked for them."""
    folder = os.environ.get("VECTORS")
    if folder:
        text = json.dumps(vector, indent=1, ensure_ascii=False)
        pathlib.Path(folder, f"{name}.json").write_text(text + "\n")
