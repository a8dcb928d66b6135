"""`make stack`: run the whole set until Ctrl-C."""

from __future__ import annotations

import signal
import sys
import tempfile
from pathlib import Path

from tests.stack.stack import running_stack


def main() -> int:
    """Start the stack, say where it is, and stop it on Ctrl-C or SIGTERM."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with (
        tempfile.TemporaryDirectory(prefix="stack-") as folder,
        running_stack(Path(folder)) as stack,
    ):
        print(f"The application: {stack.url} (its certificate is {stack.certificate})")
        print(f"The sandbox:     {stack.sandbox}")
        print(f"PostgreSQL:      {stack.database}")
        print(f"Logs:            {stack.folder}")
        for name, program in stack.programs.items():
            print(f"  {name:<10} {program.process.pid if program.process else '-'}")
        print("Stop it with Ctrl-C.", flush=True)
        try:
            signal.pause()
        except KeyboardInterrupt:
            print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
