"""Writes a page so many times, each time until the disk has it, to a file that has no name any more, and prints how many
microseconds that took.

    writer FOLDER COUNT
"""

import os
import sys
import time

folder, count = sys.argv[1], int(sys.argv[2])
name = os.path.join(folder, ".operator-run-writer-%d" % os.getpid())
file = os.open(name, os.O_CREAT | os.O_WRONLY | os.O_DSYNC)
os.unlink(name)
begun = time.monotonic()
for _ in range(count):
    os.pwrite(file, bytes(4096), 0)
print(int((time.monotonic() - begun) * 1_000_000))
