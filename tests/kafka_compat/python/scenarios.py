"""What every client has in common: what is sent, what is expected, how outcomes are told.

A client's program is called with the broker's address and that of one without automatic creation of
topics, runs each scenario of its own, and prints a line for each:
    RESULT <tab> scenario <tab> ok|failed|skipped <tab> why
"""
import sys
import threading
import time
import traceback
import uuid

HANG_SECONDS = 60
FIRST_TIMESTAMP = 1_700_000_000_000
CODECS = ("none", "gzip", "snappy", "lz4", "zstd")


class Skip(Exception):
    """The client has no such thing."""


def fresh(what):
    return f"{what}-{uuid.uuid4()}"


def odd_records():
    """(key, value, headers, timestamp): absent, empty, binary, repeated, large."""
    every_byte = bytes(range(256))
    noise, state = bytearray(), 1
    for _ in range(100_000):
        state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
        noise.append(state >> 24)
    records = [
        (b"key", b"value", []),
        (None, b"no key", []),
        (b"", b"an empty key", []),
        (b"tombstone", None, []),
        (b"empty value", b"", []),
        (every_byte, every_byte, [("binary", every_byte)]),
        (b"headers", b"value", [("a", b"1"), ("a", b"2"), ("empty", b"")]),
        (b"large, to be compressed", b"x" * 200_000, []),
        (b"large, not to be compressed", bytes(noise), []),
        ("ключ".encode(), "значение".encode(), [("заголовок", "да".encode())]),
    ]
    return [(*record, FIRST_TIMESTAMP + i * 1000) for i, record in enumerate(records)]


def plain_records(count, prefix="value"):
    return [(f"key{i}".encode(), f"{prefix}{i}".encode(), [], FIRST_TIMESTAMP + i * 1000)
            for i in range(count)]


def same(expected, found, what=""):
    if expected != found:
        def show(x):
            text = repr(x)
            return text if len(text) < 300 else text[:300] + "…"
        raise AssertionError(f"{what}: expected {show(expected)}, found {show(found)}")


def holds(condition, what):
    if not condition:
        raise AssertionError(what)


def until(condition, what):
    """Only a hang takes so long."""
    deadline = time.monotonic() + HANG_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {HANG_SECONDS} s: {what}")
        time.sleep(0.02)


class Holdings:
    """Who holds which partitions, as members tell, and what they have read together."""

    def __init__(self, partitions):
        self.partitions = set(range(partitions))
        self.lock = threading.Lock()
        self.held = {}
        self.read = set()

    def set(self, member, partitions):
        with self.lock:
            self.held[member] = set(partitions)

    def forget(self, member):
        with self.lock:
            self.held.pop(member, None)

    def add(self, value):
        with self.lock:
            self.read.add(value)

    def settled_among(self, members):
        def settled():
            with self.lock:
                every = [p for held in self.held.values() for p in held]
                return (len([h for h in self.held.values() if h]) == members
                        and len(every) == len(self.partitions) and set(every) == self.partitions)
        until(settled, f"{len(self.partitions)} partitions among {members}: {self.held}")

    def has_read(self, wanted):
        def read():
            with self.lock:
                return wanted <= self.read
        until(read, "every record read")


def run(scenarios, only=()):
    """Runs functions by name; exits with 1 if one failed."""
    failed = False
    for scenario in scenarios:
        name = scenario.__name__
        if only and name not in only:
            continue
        try:
            scenario()
            outcome, why = "ok", ""
        except Skip as skip:
            outcome, why = "skipped", str(skip)
        except Exception as error:  # whatever a client throws
            outcome, why, failed = "failed", f"{type(error).__name__}: {error}", True
            traceback.print_exc()
        why = why.replace("\n", " ").replace("\t", " ")[:600]
        print(f"RESULT\t{name}\t{outcome}\t{why}", flush=True)
    sys.exit(1 if failed else 0)
