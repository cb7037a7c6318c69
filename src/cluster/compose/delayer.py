"""Holds back every packet that comes to a queue of netfilter, for kernels that have no netem.

    delayer QUEUE MICROSECONDS JITTER

It goes on in the background, and prints its process id when the queue is bound. Packets pass when it has ended, since the
rule says --queue-bypass, and when there are too many.
"""

import heapq
import os
import random
import select
import socket
import struct
import sys
import time

# linux/netfilter/nfnetlink.h and nfnetlink_queue.h
NETLINK_NETFILTER = 12
PACKET, VERDICT, CONFIG = 0x300, 0x301, 0x302
PACKET_HEADER, VERDICT_HEADER = 1, 2
COMMAND, COPY, LONGEST, MASK, FLAGS = 1, 2, 3, 4, 5
BIND, META_ONLY, FAIL_OPEN, ACCEPT = 1, 1, 1, 1
# linux/netlink.h
REQUEST, ACKNOWLEDGE, ERROR = 1, 4, 2

queue = int(sys.argv[1])
delay, jitter = (float(argument) / 1e6 for argument in sys.argv[2:])
netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
netlink.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
netlink.bind((0, 0))


def aligned(length):
    return (length + 3) & ~3


def send(message, attributes, flags=0):
    body = b"".join(
        struct.pack("=HH", 4 + len(data), kind) + data.ljust(aligned(len(data)), b"\0") for kind, data in attributes
    )
    header = struct.pack("=IHHII", 20 + len(body), message, REQUEST | flags, 0, 0)
    netlink.send(header + struct.pack("!BBH", socket.AF_UNSPEC, 0, queue) + body)


def configure(*attributes):
    send(CONFIG, attributes, ACKNOWLEDGE)
    _, kind, _, _, _, error = struct.unpack_from("=IHHIIi", netlink.recv(65536))
    if kind != ERROR or error:
        sys.exit(f"the kernel refuses queue {queue}: {os.strerror(-error)}")


def packets(data):
    """The numbers of the packets that a datagram of netlink messages tells of."""
    start = 0
    while start + 20 <= len(data):
        length, message = struct.unpack_from("=IH", data, start)
        at, end = start + 20, start + length
        while message == PACKET and at + 4 <= end:
            size, kind = struct.unpack_from("=HH", data, at)
            if kind & 0x3FFF == PACKET_HEADER:
                yield data[at + 4 : at + 8]
            at += aligned(size)
        start += aligned(length)


configure((COMMAND, struct.pack("!BBH", BIND, 0, socket.AF_UNSPEC)))
configure((COPY, struct.pack("!IB", 0, META_ONLY)))
flags = struct.pack("!I", FAIL_OPEN)
configure((LONGEST, struct.pack("!I", 65536)), (MASK, flags), (FLAGS, flags))

child = os.fork()
if child:
    print(child)
    sys.exit()
nowhere = os.open(os.devnull, os.O_RDWR)
for stream in range(3):
    os.dup2(nowhere, stream)
held = []
while True:
    wait = max(0, held[0][0] - time.monotonic()) if held else None
    if select.select([netlink], [], [], wait)[0]:
        try:
            told = netlink.recv(65536)
        except OSError:
            continue  # there was no room for what the kernel had to tell: those packets have passed
        now = time.monotonic()
        for packet in packets(told):
            heapq.heappush(held, (now + delay + random.uniform(-jitter, jitter), packet))
    while held and held[0][0] <= time.monotonic():
        send(VERDICT, [(VERDICT_HEADER, struct.pack("!I", ACCEPT) + heapq.heappop(held)[1])])
