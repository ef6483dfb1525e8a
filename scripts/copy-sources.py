#!/usr/bin/env python3
"""copy-sources.py FROM TO: makes TO hold the sources of the checkout FROM, and leaves alone what is the same already.

Cargo goes by the time of a file. In a fresh clone every file is new, so that everything would be built again; in the copy
only what differs from the last time is. Files that git ignores are neither copied nor removed.
"""
import filecmp
import os
import shutil
import subprocess
import sys
from pathlib import Path

LIST = '.copied'


def copy(source: Path, target: Path) -> None:
    if source.is_symlink():
        if not (target.is_symlink() and os.readlink(target) == os.readlink(source)):
            target.unlink(missing_ok=True)
            os.symlink(os.readlink(source), target)
    elif not (target.is_file() and filecmp.cmp(source, target, shallow=False)):
        part = target.with_name(target.name + '.part')
        shutil.copyfile(source, part)
        os.replace(part, target)
    if not source.is_symlink() and (source.stat().st_mode ^ target.stat().st_mode) & 0o777:
        shutil.copymode(source, target)


def main() -> None:
    origin, place = Path(sys.argv[1]), Path(sys.argv[2])
    listed = subprocess.run(['git', 'ls-files', '-z', '--cached', '--others', '--exclude-standard'], cwd=origin, check=True, stdout=subprocess.PIPE)
    # What is deleted but not committed is still listed.
    names = {name for name in listed.stdout.decode().split('\0') if name and os.path.lexists(origin / name)}
    place.mkdir(parents=True, exist_ok=True)
    before = set((place / LIST).read_text().split('\0')) if (place / LIST).exists() else set()
    for name in sorted(before - names - {''}):
        (place / name).unlink(missing_ok=True)
        for folder in (place / name).parents:
            if folder == place or any(folder.iterdir()):
                break
            folder.rmdir()
    # In the list before they are there: a copy that was cut short is completed, or taken away, by the next.
    (place / LIST).write_text('\0'.join(sorted(names)))
    for name in sorted(names):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        copy(origin / name, place / name)


main()
