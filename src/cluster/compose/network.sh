# What faults of the network are done and seen with, in the network of a node. The name of a link is never assumed.
held=(! -o lo -j NFQUEUE --queue-num 57 --queue-bypass)

links() {
  local number name rest
  ip -o link show up | while read -r number name rest; do
    name=${name%:}
    [[ $name == lo ]] || echo "${name%@*}"
  done
}

# remove_discipline HANDLE: what we have put at the root of the links, if it is there
remove_discipline() {
  local link
  for link in $(links); do
    [[ $(tc qdisc show dev "$link") != *" $1 root "* ]] || tc qdisc del dev "$link" root || return
  done
}

# delay MICROSECONDS JITTER: by netem, or where the kernel has none by a program that holds a queue back
delay() {
  local link family families=iptables
  for link in $(links); do
    tc qdisc add dev "$link" root handle de1a: netem delay "$1us" "$2us" limit 100000 && continue
    python3 -c "$DELAYER" 57 "$1" "$2" >/tmp/delayer || return
    [[ -z $(ip -6 -o address show scope global) ]] || families='iptables ip6tables'
    for family in $families; do "$family" -w -t mangle -A OUTPUT "${held[@]}" || return; done
    return
  done
} 2>&1

# keep_delay: fails if nothing delays any more
keep_delay() { if [[ -e /tmp/delayer ]]; then kill -0 "$(</tmp/delayer)"; else [[ $(tc qdisc show) == *' de1a: '* ]]; fi; }

end_delay() {
  local family
  remove_discipline de1a: || return
  for family in iptables ip6tables; do
    while "$family" -w -t mangle -D OUTPUT "${held[@]}"; do :; done 2>/dev/null
  done
  [[ ! -s /tmp/delayer ]] || kill "$(</tmp/delayer)" && rm -f /tmp/delayer
}

# limit BYTES BURST: in a second, and at once
limit() {
  local link
  for link in $(links); do
    tc qdisc add dev "$link" root handle b4d0: tbf rate "$1bps" burst "$2b" latency 400ms || return
  done
}

keep_limit() { [[ $(tc qdisc show) == *' b4d0: '* ]]; }

end_limit() { remove_discipline b4d0:; }

# marks: what faults change of a network. Docker keeps rules of its own in other tables, with ports that change.
marks() {
  local line
  { nft list tables && tc qdisc show && iptables -w -t mangle -S && ip6tables -w -t mangle -S; } 2>&1 |
    while read -r line; do
      case $line in '#'* | *' mangle' | *' noqueue '* | '-P '*) ;; *) echo "$line" ;; esac
    done
}

# dial SECONDS ENDPOINT...: to each at the same time; prints those that answered, with what and after how many µs
dial() {
  local within=$1 at said
  shift
  for at; do
    (
      said=$(timeout "$within" bash -c 'begun=$EPOCHREALTIME; exec 3<>"/dev/tcp/$0" || exit
        echo $((${EPOCHREALTIME/[.,]/} - ${begun/[.,]/}))' "$at" 2>&1)
      case $?$said in
        0*) echo "$at open $said" ;;
        *refused*) echo "$at refused 0" ;;
      esac
    ) &
  done
  wait
}

# find_name NAME: its address, or nothing
find_name() {
  timeout 3 python3 -c 'import socket, sys; print(socket.getaddrinfo(sys.argv[1].encode(), None)[0][4][0])' "$1" \
    2>/dev/null || true
}

send() { python3 -c "$SENDER" "$@"; }

