"""The C API from Python's ctypes, as a host would that never saw a compiler."""
import ctypes as c
import sys
import tempfile


class Bytes(c.Structure):
    _fields_ = [("data", c.c_void_p), ("size", c.c_size_t)]

    def text(self):
        return c.string_at(self.data, self.size).decode() if self.data else None


class Error(c.Structure):
    _fields_ = [("code", c.c_int32), ("text", c.c_char * 508)]


LOG = c.CFUNCTYPE(None, c.c_void_p, c.c_int, Bytes)


class ServerOptions(c.Structure):
    _fields_ = [("struct_size", c.c_size_t), ("data_dir", Bytes), ("listen", Bytes),
                ("memory_bytes", c.c_uint64), ("max_stored_bytes", c.c_uint64), ("log", LOG),
                ("log_context", c.c_void_p), ("on_assert", c.c_void_p)]


class Record(c.Structure):
    _fields_ = [("key", Bytes), ("value", Bytes), ("headers", c.c_void_p),
                ("header_count", c.c_size_t), ("partition", c.c_int32), ("offset", c.c_int64),
                ("timestamp_ms", c.c_int64)]


class Ack(c.Structure):
    _fields_ = [("partition", c.c_int32), ("offset", c.c_int64)]


leat = c.CDLL(sys.argv[1])
leat.leat_version.restype = c.c_char_p
leat.leat_error_name.restype = c.c_char_p
leat.leat_create_topic.argtypes = [c.c_void_p, Bytes, c.c_int32, c.c_int, c.POINTER(Error)]
leat.leat_produce.argtypes = [c.c_void_p, Bytes, c.POINTER(Record), c.POINTER(Ack),
                              c.POINTER(Error)]
leat.leat_subscribe.argtypes = [c.c_void_p, Bytes, Bytes, c.c_int, c.POINTER(c.c_void_p),
                                c.POINTER(Error)]
for close in (leat.leat_close, leat.leat_disconnect, leat.leat_unsubscribe):
    close.argtypes, close.restype = [c.c_void_p], None
error = Error()


kept = []  # what a structure's plain address points to


def borrow(text):
    data = text.encode()
    kept.append(data)
    return Bytes(c.cast(c.c_char_p(data), c.c_void_p), len(data))


def must(code):
    assert code == 0, error.text.decode()


with tempfile.TemporaryDirectory() as directory:
    server, client, consumer = c.c_void_p(), c.c_void_p(), c.c_void_p()
    path = directory + "/data"
    lines = []
    log = LOG(lambda context, level, line: lines.append(line.text()))
    options = ServerOptions(c.sizeof(ServerOptions), borrow(path), Bytes(), 16 << 20, 0, log, None, None)
    must(leat.leat_open(c.byref(options), c.byref(server), c.byref(error)))
    must(leat.leat_connect_local(server, c.byref(client), c.byref(error)))
    must(leat.leat_create_topic(client, borrow("orders"), 1, 1, c.byref(error)))
    for i in range(10):
        record, ack = Record(borrow("key"), borrow(f"value {i}"), None, 0, -1, 0, 0), Ack()
        must(leat.leat_produce(client, borrow("orders"), c.byref(record), c.byref(ack),
                               c.byref(error)))
        assert (ack.partition, ack.offset) == (0, i)
    must(leat.leat_subscribe(client, borrow("orders"), borrow("billing"), 0, c.byref(consumer),
                             c.byref(error)))
    seen = []
    while len(seen) < 10:
        records, count = c.POINTER(Record)(), c.c_size_t()
        must(leat.leat_poll(consumer, 60000, c.byref(records), c.byref(count), c.byref(error)))
        assert count.value > 0, "no records"
        seen += [records[i].value.text() for i in range(count.value)]
    assert seen == [f"value {i}" for i in range(10)], seen
    must(leat.leat_commit(consumer, c.byref(error)))
    code = leat.leat_create_topic(client, borrow("a b"), 1, 0, c.byref(error))
    assert leat.leat_error_name(code) == b"InvalidTopicName", error.text
    leat.leat_unsubscribe(consumer)
    leat.leat_disconnect(client)
    leat.leat_close(server)
    assert any("event=opened" in line for line in lines), lines
print("leat", leat.leat_version().decode(), "from Python", sys.version.split()[0])
