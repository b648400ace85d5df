"""Programs with all that they start, so that nothing is left running whatever becomes of the matrix."""
import os
import signal
import subprocess
import threading

_running, _mutex, _ended = set(), threading.Lock(), False


def start(command, directory=None, environment=None, **pipes):
    """A process that leads a group of its own."""
    with _mutex:
        if _ended:
            raise OSError("everything is being ended")
        process = subprocess.Popen(command, cwd=directory, env={**os.environ, **(environment or {})},
                                   stdin=subprocess.DEVNULL, text=True, errors="replace",
                                   start_new_session=True, **pipes)
        _running.add(process)
    return process


def end(process):
    """It and what it started."""
    with _mutex:
        _running.discard(process)
    _kill(process)
    process.wait()


def end_all():
    """From now on nothing is started, either: another thread may be about to."""
    global _ended
    with _mutex:
        _ended = True
        left = list(_running)
    for process in left:
        _kill(process)


def output_of(command, directory, environment, seconds):
    """(exit status, what it said). Raises subprocess.TimeoutExpired."""
    process = start(command, directory, environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        said, _ = process.communicate(timeout=seconds)
    finally:
        end(process)
    return process.returncode, said


def _kill(process):
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass  # it has ended, and so have its children
