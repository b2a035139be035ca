"""Runs a command on a terminal of its own and plays its user.

  terminal.py LOG STEP... -- COMMAND...

Steps, in order:  wait=REGEX    until the command has printed this
                  send=TEXT     type it; \\xNN as in Python
                  signal=NUMBER send the command this signal
                  cooked=       until the terminal is set as before
Prints, each as KEY VALUE: raw (whether line editing was off when the first wait ended), restored
(whether the terminal is set as before, once the command is gone) and status (as a shell counts).
"""
import os
import pty
import re
import select
import signal
import sys
import termios
import time

LIMIT = float(os.environ.get("LIMIT", "300"))


def read_until(master, log, seen, pattern):
    """Reads until the pattern shows, or until the command closes the terminal."""
    deadline = time.monotonic() + LIMIT
    while pattern is None or not pattern.search(seen):
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([master], [], [], left)[0]:
            return False
        try:
            data = os.read(master, 65536)
        except OSError:
            return False
        if not data:
            return False
        log.write(data)
        log.flush()
        seen += data
    return True


def main():
    split = sys.argv.index("--")
    steps, command = sys.argv[2:split], sys.argv[split + 1:]
    master, slave = pty.openpty()
    before = termios.tcgetattr(slave)
    child = os.fork()
    if child == 0:
        os.setsid()
        os.close(master)
        for fd in (0, 1, 2):
            os.dup2(slave, fd)
        if slave > 2:
            os.close(slave)
        os.execvp(command[0], command)
    raw = None
    with open(sys.argv[1], "wb") as log:
        for step in steps:
            verb, value = step.split("=", 1)
            if verb == "wait":
                # Each wait looks at what comes after the last one.
                if not read_until(master, log, bytearray(), re.compile(value.encode())):
                    print("missed", value)
                if raw is None:
                    flags = termios.tcgetattr(slave)[3]
                    raw = not flags & (termios.ICANON | termios.ECHO | termios.ISIG)
            elif verb == "send":
                os.write(master, value.encode().decode("unicode_escape").encode("latin-1"))
            elif verb == "signal":
                os.kill(child, int(value))
            elif verb == "cooked":
                deadline = time.monotonic() + LIMIT
                while termios.tcgetattr(slave) != before and time.monotonic() < deadline:
                    time.sleep(0.05)
        deadline = time.monotonic() + LIMIT
        while True:
            pid, status = os.waitpid(child, os.WNOHANG)
            if pid:
                break
            if time.monotonic() > deadline:
                os.kill(child, signal.SIGKILL)
            if select.select([master], [], [], 0.1)[0]:
                log.write(os.read(master, 65536))
        while select.select([master], [], [], 0)[0]:
            log.write(os.read(master, 65536))
    print("raw", "yes" if raw else "no")
    print("restored", "yes" if termios.tcgetattr(slave) == before else "no")
    print("status", 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status)
          else os.WEXITSTATUS(status))


main()
