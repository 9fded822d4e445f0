"""A Python of their own for the programs of the tests, with what requirements.txt names: made at need, then kept.

    python3 tests/environment.py FOLDER         makes it in this folder and prints the path of its interpreter
"""

import fcntl
import shutil
import subprocess
import sys
from pathlib import Path

REQUIREMENTS = Path(__file__).resolve().with_name("requirements.txt")
PYTHON_MIN = (3, 11)


class Missing(Exception):
    """Something that cannot be installed here; the text says what."""


def call(*command, **options):
    """Runs a command quietly; what it said is told if it fails."""
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=900, **options)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Missing(f"{command[0]}: {error}") from error
    if done.returncode:
        raise Missing(f"`{' '.join(map(str, command))}` failed:\n{done.stdout[-2000:]}")
    return done.stdout


def interpreter(folder):
    """The interpreter, made anew if another Python or other requirements made it."""
    if sys.version_info < PYTHON_MIN:
        raise Missing(f"Python {'.'.join(map(str, PYTHON_MIN))} or newer is needed, this is {sys.version.split()[0]}")
    made, origin = folder / "python", f"{sys.executable} {sys.version}\n{REQUIREMENTS.read_text()}"
    python, stamp = made / "bin" / "python", made / "made-of"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "python.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not stamp.exists() or stamp.read_text() != origin:
            shutil.rmtree(made, ignore_errors=True)
            call(sys.executable, "-m", "venv", made)
            call(python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "-r", REQUIREMENTS)
            stamp.write_text(origin)
    return python


if __name__ == "__main__":
    try:
        print(interpreter(Path(sys.argv[1]).resolve()))
    except Missing as error:
        sys.exit(f"the Python of the tests cannot be made: {error}")
