#!/usr/bin/env python3
"""Makes a tree of many small files, the same one each time.

    make_tree.py TARGET FILES FOLDERS

The folders lie three levels deep, 32 to a folder, and share the files evenly. Their names are such
that the order of whole paths is not the order of names: `f07`, `f07-a` and `f07.b` stand side by side.
The files are empty: who measures how a tree is walked needs no content.
"""

import os
import stat
import sys
from pathlib import Path

FAN = 32
KINDS = ["{}", "{}-a", "{}.b"]


def folder_name(number):
    """`f00`, `f00-a`, `f00.b`, `f01`, ..."""
    return KINDS[number % len(KINDS)].format(f"f{number // len(KINDS):02}")


def folders_of(target, count):
    """The paths of `count` folders, `target`'s grandchildren."""
    for number in range(count):
        outer, inner = divmod(number, FAN)
        yield Path(target, folder_name(outer // FAN), folder_name(outer % FAN), folder_name(inner))


def make(target, files, folders):
    """Makes the tree, and yields each file's path as a text."""
    for number, folder in enumerate(folders_of(target, folders)):
        folder.mkdir(parents=True)
        for file in range(files * number // folders, files * (number + 1) // folders):
            path = f"{folder}/upload_{file:07}.jpg"
            os.mknod(path, stat.S_IFREG | 0o644)
            yield path


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    target, files, folders = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    Path(target).mkdir(parents=True)
    made = sum(1 for _ in make(target, files, folders))
    print(f"{made} files in {folders} folders below {target}")


if __name__ == "__main__":
    main()
