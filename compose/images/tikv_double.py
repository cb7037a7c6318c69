#!/usr/bin/python3
"""A double of pd-server, tikv-server and go-ycsb, by the name that it is called by.

It stores nothing and replicates nothing. It takes the flags of compose/tikv.yaml and answers what operator-run asks, so
that the Compose file and the way of a run through it can be tried where the real images cannot be had. What it proves,
it proves of those two, and nothing of TiKV. Its rules are fixed: the first PD member that answers leads; a store's
leaders pass to the others 12 s after its last heartbeat, if these are a majority; PD calls a store Disconnected after 20 s,
as the real one does; a store says how much of its disk is available, warns below a twentieth, and uses none of it.
"""

import argparse
import json
import os
import signal
import sys
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

STARTED = time.time()
HEARTBEAT_EVERY = 10
LEADERS_PASS_AFTER = 12
DISCONNECTED_AFTER = 20
CAPACITY = 20 << 30
AVAILABLE_SHARE = 0.985
KEYSPACE_BOUNDS = ["", "7200000000000000FB", "7200000100000000FB", "7800000000000000FB", "7800000100000000FB"]


def log(message):
    now = time.strftime("%Y/%m/%d %H:%M:%S.000 +00:00", time.gmtime())
    print(f"[{now}] [INFO] [tikv_double.py:1] [{json.dumps(message)}]", flush=True)


def ask(address, path, body=None, timeout=1.0, headers=()):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"http://{address}{path}", data, dict(headers))
    with urllib.request.urlopen(request, timeout=timeout) as answer:
        return answer.read()


def size(count):
    """As PD writes a number of bytes (docker/go-units, `BytesSize`)."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024 or unit == "GiB":
            return f"{count:.4g}{unit}"
        count /= 1024


def every(seconds, work):
    def forever():
        while True:
            work()
            time.sleep(seconds)

    threading.Thread(target=forever, daemon=True).start()


def histogram(name, rate, labels=""):
    """So many observations a second since the start, each of 1 ms."""
    count = int((time.time() - STARTED) * rate)
    comma = "," if labels else ""
    buckets = [f'{name}_bucket{{{labels}{comma}le="{le}"}} {count if le != "0.0005" else 0}'
               for le in ("0.0005", "0.001", "0.01", "+Inf")]
    return buckets + [f"{name}_sum{{{labels}}} {count / 1000}", f"{name}_count{{{labels}}} {count}"]


def process_metrics():
    return [f"process_start_time_seconds {STARTED}", f"process_cpu_seconds_total {time.process_time()}",
            "process_resident_memory_bytes 3e7"]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body, kind="application/json"):
        body = body if isinstance(body, str) else json.dumps(body, indent=2)
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body.encode())))
        self.end_headers()
        self.wfile.write(body.encode())

    def do_GET(self):
        self.server.node.get(self, self.path.partition("?")[0].removeprefix("/pd/api/v1"))

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or "null")
        self.server.node.post(self, self.path.removeprefix("/pd/api/v1"), body)


def serve(node, port):
    server = ThreadingHTTPServer(("0.0.0.0", port), Handler)
    server.daemon_threads = True
    server.node = node
    threading.Thread(target=server.serve_forever, daemon=True).start()


class Pd:
    def __init__(self, flags):
        self.name = flags.name
        members = (member.split("=", 1) for member in flags.initial_cluster.split(","))
        # The client port of a peer is the usual one.
        self.members = {name: url.split("//")[1].rsplit(":", 1)[0] + ":2379" for name, url in members}
        self.alive = set()
        self.stores = {}
        self.voters = []
        self.bounds = list(KEYSPACE_BOUNDS)

    def watch_members(self):
        alive = {self.name}
        for name, address in self.members.items():
            if name != self.name:
                try:
                    ask(address, "/pd/api/v1/ping")
                    alive.add(name)
                except OSError:
                    pass
        if alive != self.alive:
            log(f"members that answer: {sorted(alive)}")
        self.alive = alive

    def leader(self):
        return min(self.alive) if len(self.alive) * 2 > len(self.members) else None

    def member(self, name):
        return {"name": name, "member_id": list(self.members).index(name) + 1, "binary_version": "double",
                "peer_urls": [f"http://{name}:2380"], "client_urls": [f"http://{self.members[name]}"]}

    def regions(self):
        ids = sorted(self.stores)
        heard = [store for store in ids if time.time() - self.stores[store]["heard"] < LEADERS_PASS_AFTER]
        if len(heard) * 2 > len(ids):
            self.voters = heard
        for index, start in enumerate(self.bounds):
            number = 100 + 10 * index
            peers = [{"role_name": "Voter", "id": number + store, "store_id": store} for store in ids]
            leader = self.voters[index % len(self.voters)] if self.voters else 0
            yield {"id": number, "start_key": start, "end_key": (self.bounds[index + 1:] + [""])[0], "peers": peers,
                   "leader": {"role_name": "Voter", "id": number + leader, "store_id": leader}}

    def store(self, number, regions):
        known = self.stores[number]
        age = time.time() - known["heard"]
        leads = sum(region["leader"]["store_id"] == number for region in regions)
        return {"store": {"id": number, "address": known["address"], "status_address": known["status_address"],
                          "version": "double", "start_timestamp": known["started"], "node_state": 1,
                          "last_heartbeat": int(known["heard"] * 1e9),
                          "state_name": "Up" if age <= DISCONNECTED_AFTER else "Disconnected"},
                "status": {"capacity": known["capacity"], "available": known["available"], "used_size": "270MiB",
                           "leader_count": leads, "region_count": len(regions), "slow_score": 1}}

    def get(self, http, path):
        regions = list(self.regions())
        stores = [self.store(number, regions) for number in sorted(self.stores)]
        leader = self.leader()
        if path == "/metrics":
            return http.answer(200, "\n".join(process_metrics() + ['pd_tso_events{type="system_time_slow"} 0',
                                                                   "pd_monitor_time_jump_back_total 0", ""]), "text/plain")
        if path == "/ping":
            return http.answer(200, "")
        if path == "/health":
            return http.answer(200, [{**self.member(name), "health": name in self.alive} for name in self.members])
        if leader is None:
            return http.answer(503, "[PD:apiutil:ErrRedirectNoLeader]redirect finds no leader", "text/plain")
        fixed = {
            "/leader": self.member(leader),
            "/members": {"members": [self.member(name) for name in self.members], "leader": self.member(leader)},
            "/stores": {"count": len(stores), "stores": stores},
            "/regions": {"count": len(regions), "regions": regions},
            "/schedulers": [] if http.path.endswith("paused") else
                           ["balance-leader-scheduler", "balance-region-scheduler", "balance-hot-region-scheduler"],
            "/scheduler-config/evict-slow-store-scheduler/list": {"evict-stores": []},
            "/operators": [],
            "/checker/rule": {"paused": False},
            "/config/schedule": {"leader-schedule-limit": 4, "region-schedule-limit": 2048},
            "/config/replicate": {"max-replicas": 3},
            "/hotspot/regions/write": {"as_peer": {}, "as_leader": {}},
            "/hotspot/regions/read": {"as_peer": {}, "as_leader": {}},
        }
        if path.startswith("/regions/check/"):
            return http.answer(200, {"count": 0, "regions": []})
        return http.answer(200, fixed[path]) if path in fixed else http.answer(404, "404 page not found\n", "text/plain")

    def post(self, http, path, body):
        if path == "/double/heartbeat":
            if body["id"] not in self.stores:
                log(f"store {body['id']} is {body['address']}")
            self.stores[body["id"]] = {**body, "heard": time.time()}
        elif path == "/regions/split":
            self.bounds = sorted({*self.bounds, *body["split_keys"]})
            if "X-Double" not in http.headers:
                for name in self.alive - {self.name}:
                    ask(self.members[name], "/pd/api/v1" + path, body, headers={"X-Double": "passed on"}.items())
        elif path != "/regions/scatter":
            return http.answer(404, "404 page not found\n", "text/plain")
        return http.answer(200, {"processed-percentage": 100})


class TiKv:
    def __init__(self, flags):
        self.flags = flags
        self.pds = flags.pd_endpoints.split(",")
        self.usage = "Normal"

    def heartbeat(self):
        address = self.flags.advertise_addr
        number = 1 + int("".join(filter(str.isdigit, address.split(":")[0])))
        disk = os.statvfs(self.flags.data_dir)
        capacity = min(CAPACITY, disk.f_blocks * disk.f_frsize)
        available = min(capacity * AVAILABLE_SHARE, disk.f_bavail * disk.f_frsize)
        usage = "AlmostFull" if available <= capacity / 20 else "Normal"
        if usage != self.usage:
            log(f"disk usage {self.usage}->{usage}")
        self.usage = usage
        body = {"id": number, "address": address, "status_address": self.flags.advertise_status_addr,
                "started": int(STARTED), "capacity": size(capacity), "available": size(available)}
        for pd in self.pds:
            try:
                ask(pd, "/pd/api/v1/double/heartbeat", body)
            except OSError:
                log(f"PD {pd} does not answer")

    def get(self, http, path):
        if path == "/status":
            return http.answer(200, "")
        if path != "/metrics":
            return http.answer(404, "404 page not found\n", "text/plain")
        kinds = ("append", "commit", "apply")
        lines = process_metrics() + ["tikv_server_cpu_cores_quota 2", "tikv_server_memory_quota_bytes 8e9"]
        lines += histogram("tikv_grpc_msg_duration_seconds", 20, 'type="raw_get",priority="unknown"')
        lines += [line for kind in kinds for line in histogram(f"tikv_raftstore_{kind}_log_duration_seconds", 20)]
        return http.answer(200, "\n".join(lines + histogram("tikv_raftstore_log_lag", 20) + [""]), "text/plain")


def parse(names):
    parser = argparse.ArgumentParser(allow_abbrev=False)
    for name in names:
        parser.add_argument("--" + name, required=name != "config")
    flags = parser.parse_args()
    if flags.config:
        open(flags.config).close()
    os.makedirs(flags.data_dir, exist_ok=True)
    return flags


def pd_server():
    flags = parse(["name", "client-urls", "advertise-client-urls", "peer-urls", "advertise-peer-urls",
                   "initial-cluster", "data-dir", "config"])
    pd = Pd(flags)
    serve(pd, int(flags.client_urls.rsplit(":", 1)[1]))
    every(1, pd.watch_members)


def tikv_server():
    flags = parse(["pd-endpoints", "addr", "advertise-addr", "status-addr", "advertise-status-addr", "data-dir",
                   "capacity", "config"])
    tikv = TiKv(flags)
    serve(tikv, int(flags.status_addr.rsplit(":", 1)[1]))
    every(HEARTBEAT_EVERY, tikv.heartbeat)


def go_ycsb():
    if sys.argv[1] == "load":
        sys.exit()
    every(10, lambda: print(f"TOTAL  - Takes(s): {time.time() - STARTED:.1f}, Count: {int(time.time() - STARTED) * 60}, "
                            "OPS: 60.0, Avg(us): 1000, Min(us): 1000, Max(us): 1000, 99th(us): 1000", flush=True))


# A process that is the first of its container gets no signal that it does not handle.
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
log("this is a double of " + os.path.basename(sys.argv[0]))
{"pd-server": pd_server, "tikv-server": tikv_server, "go-ycsb": go_ycsb}[os.path.basename(sys.argv[0])]()
threading.Event().wait()
