"""Runs a command in a terminal of its own: in_terminal.py COLUMNS COMMAND…; passes on what it drew, ends as it ended."""

import fcntl
import os
import pty
import struct
import sys
import termios

columns, command = int(sys.argv[1]), sys.argv[2:]
child, terminal = pty.fork()
if child == 0:
    fcntl.ioctl(2, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    os.execv(command[0], command)
while True:
    try:
        drawn = os.read(terminal, 65536)
    except OSError:  # the other side is gone
        break
    if not drawn:
        break
    sys.stdout.buffer.write(drawn)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
