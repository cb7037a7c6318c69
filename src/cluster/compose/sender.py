"""Sends datagrams that nobody reads, as fast as the network takes them, and prints how many bytes that is in a second.

    sender ADDRESS FIRST MOST

The first bytes, which pass any limit at once, are not counted. It ends after two seconds, or after so many bytes.
"""

import socket
import sys
import time

DISCARD = 9

address, first, most = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
family = socket.AF_INET6 if ":" in address else socket.AF_INET
sender = socket.socket(family, socket.SOCK_DGRAM)
sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)  # a datagram that waits for the link makes the next one wait
datagram = bytes(1000)


def send(most):
    """How long it took to send so many bytes, or what of them could be sent in two seconds."""
    sent, begun = 0, time.monotonic()
    while sent < most and time.monotonic() < begun + 2:
        sent += sender.sendto(datagram, (address, DISCARD))
    return sent, time.monotonic() - begun


send(first)
sent, seconds = send(most)
print(int(sent / seconds))
