"""Reaching somebody. The host listens on every kind of endpoint named here and says whether the attempt's token arrived."""

import array
import ctypes
import os
import socket
import struct

from .calls import call


def _stream(family, address):
    def attempt(bait):
        with socket.socket(family, socket.SOCK_STREAM) as endpoint:
            endpoint.settimeout(2)
            endpoint.connect(address(bait))
            endpoint.sendall(bait["token"].encode())

    return attempt


def _datagram(family, address):
    def attempt(bait):
        with socket.socket(family, socket.SOCK_DGRAM) as endpoint:
            endpoint.sendto(bait["token"].encode(), address(bait))

    return attempt


def name_server(bait):
    """A question for a name server, the data in the name: the oldest way out of a network without one."""
    label = bait["token"].encode()
    question = struct.pack(">HHHHHH", 1, 0x100, 1, 0, 0, 0) + bytes([len(label)]) + label + b"\7example\0\0\1\0\1"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as endpoint:
        endpoint.sendto(question, ("127.0.0.1", bait["udp"]))


def resolver(bait):
    return repr(socket.getaddrinfo("example.org", 80))


def raw_call(bait):
    """Socket and connect by number, without Python's module."""
    handle = call("socket", socket.AF_INET, socket.SOCK_STREAM, 0)
    with socket.socket(fileno=handle) as endpoint:
        endpoint.connect(("127.0.0.1", bait["tcp"]))
        endpoint.sendall(bait["token"].encode())


def pair_to_path(bait):
    """A socketpair is a pair of whole unix sockets: one end can write to any other address."""
    first, _second = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    first.sendto(bait["token"].encode(), bait["unix_datagram"])


def pair_to_abstract(bait):
    first, _second = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    first.sendto(bait["token"].encode(), "\0" + bait["abstract_datagram"])


def pair_connected(bait):
    first, _second = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    first.connect(bait["unix_datagram"])
    first.send(bait["token"].encode())


def pair_named(bait):
    """Give one end a name, so that others could write to it."""
    first, _second = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    first.bind("\0" + bait["token"])
    return "has an abstract name"


def send_descriptor(bait):
    """A descriptor in flight between two sockets is in no table that the host could look at."""
    first, second = socket.socketpair()
    with open("hidden", "w+") as file:
        first.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [file.fileno()]))])
    second.recv(1)
    return "sent a descriptor"


def listening(bait):
    with socket.socket() as endpoint:
        endpoint.bind(("127.0.0.1", 0))
        endpoint.listen()
        return f"listens on port {endpoint.getsockname()[1]}"


def abstract_name(bait):
    with socket.socket(socket.AF_UNIX) as endpoint:
        endpoint.bind("\0" + bait["token"])
        endpoint.listen()
        return "listens on an abstract name"


def path_name(bait):
    with socket.socket(socket.AF_UNIX) as endpoint:
        endpoint.bind("socket")
        endpoint.listen()
        return "listens on a path"


def _any(family, kind, protocol=0):
    def attempt(bait):
        with socket.socket(family, kind, protocol) as endpoint:
            return f"has a socket of family {endpoint.family}"

    return attempt


def vsock(bait):
    return f"descriptor {call('socket', 40, 1, 0)}"


def multicast(bait):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as endpoint:
        endpoint.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 1)
        endpoint.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 0)
        return "may multicast"


def fast_open(bait):
    """Connect and send in one call: MSG_FASTOPEN."""
    with socket.socket() as endpoint:
        endpoint.sendto(bait["token"].encode(), 0x20000000, ("127.0.0.1", bait["tcp"]))


def message_with_address(bait):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as endpoint:
        endpoint.sendmsg([bait["token"].encode()], [], 0, ("127.0.0.1", bait["udp"]))


def inherited_socket(bait):
    """Use any socket among the descriptors that are open anyway."""
    for name in os.listdir("/proc/self/fd"):
        try:
            endpoint = socket.socket(fileno=os.dup(int(name)))
            endpoint.sendto(bait["token"].encode(), bait["unix_datagram"])
        except (OSError, ctypes.ArgumentError):
            continue


TRIES = {
    "tcp": _stream(socket.AF_INET, lambda bait: ("127.0.0.1", bait["tcp"])),
    "tcp6": _stream(socket.AF_INET6, lambda bait: ("::1", bait["tcp6"])),
    "udp": _datagram(socket.AF_INET, lambda bait: ("127.0.0.1", bait["udp"])),
    "name_server": name_server,
    "resolver": resolver,
    "unix_stream": _stream(socket.AF_UNIX, lambda bait: bait["unix_stream"]),
    "unix_datagram": _datagram(socket.AF_UNIX, lambda bait: bait["unix_datagram"]),
    "abstract_stream": _stream(socket.AF_UNIX, lambda bait: "\0" + bait["abstract_stream"]),
    "abstract_datagram": _datagram(socket.AF_UNIX, lambda bait: "\0" + bait["abstract_datagram"]),
    "raw_call": raw_call,
    "fast_open": fast_open,
    "message_with_address": message_with_address,
    "pair_to_path": pair_to_path,
    "pair_to_abstract": pair_to_abstract,
    "pair_connected": pair_connected,
    "pair_named": pair_named,
    "send_descriptor": send_descriptor,
    "inherited_socket": inherited_socket,
    "listening": listening,
    "abstract_name": abstract_name,
    "path_name": path_name,
    "raw_socket": _any(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP),
    "packet_socket": _any(17, socket.SOCK_RAW),
    "netlink": _any(16, socket.SOCK_RAW),
    "kernel_crypto": _any(38, 5),
    "vsock": vsock,
    "multicast": multicast,
}
