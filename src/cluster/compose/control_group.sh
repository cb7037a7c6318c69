# What faults of a container's control group are done and seen with: all groups of the machine are mounted at /cgroup.
# What a fault has set there goes with the group when the container ends; it is set again for the next one.

# group CONTROLLER CONTAINER: its folder; version 2 has one for all controllers
group() {
  local folder root=/cgroup/$1
  [[ ! -e /cgroup/cgroup.controllers ]] || root=/cgroup
  shopt -s globstar nullglob
  for folder in "$root"/**/*"$2"*/; do
    echo "${folder%/}"
    return
  done
  echo "below $root is no control group of $2"
  return 1
}

# disk PATH: the numbers of the disk that a mount is on, as limits want them: of the whole, not of a part
disk() {
  local device at rest
  while read -r _ _ device _ at rest; do
    [[ $at == "$1" ]] || continue
    [[ ! -e /sys/dev/block/$device/partition ]] || device=$(</sys/dev/block/"$device"/../dev)
    [[ $device != 0:* ]] || break
    echo "$device"
    return
  done </proc/self/mountinfo
  echo "$1 is on no disk of which the kernel could limit the writes"
  return 1
}

# limit_writes CONTAINER PATH WRITES: to the disk that PATH is on, so many in a second; 0 stands for no limit
limit_writes() {
  local device folder writes=$3
  device=$(disk "$2") || { echo "$device" && return 1; }
  folder=$(group blkio "$1") || { echo "$folder" && return 1; }
  if [[ -e /cgroup/cgroup.controllers ]]; then
    [[ $writes != 0 ]] || writes=max
    echo "$device wiops=$writes" >"$folder/io.max"
  else
    echo "$device $writes" >"$folder/blkio.throttle.write_iops_device"
  fi
}

keep_writes_limited() { ! group blkio "$1" >/dev/null || limit_writes "$@"; }

# end_writes_limited CONTAINER PATH: a disk whose writes cannot be limited has no limit
end_writes_limited() { ! disk "$2" >/dev/null || keep_writes_limited "$1" "$2" 0; }

# write CONTAINER PATH COUNT: synced writes, one after the other; prints how many microseconds they took
write() {
  local folder
  folder=$(group blkio "$1") || { echo "$folder" && return 1; }
  (echo $BASHPID >"$folder/cgroup.procs" && exec python3 -c "$WRITER" "$2" "$3")
}

# burn CONTAINER TASKS: that never wait, for each processor of the machine
burn() {
  local task
  for ((task = $2 * $(nproc); task > 0; task--)); do
    while :; do :; done </dev/null >/dev/null 2>&1 &
    echo $! >>/tmp/burners
  done
  group cpu "$1" >/dev/null && keep_burning "$1"
}

# keep_burning CONTAINER: fails if a task is gone
keep_burning() {
  local folder task
  folder=$(group cpu "$1") || return 0
  while read -r task; do
    echo "$task" >"$folder/cgroup.procs" || return
  done </tmp/burners
}

end_burning() { [[ ! -e /tmp/burners ]] || { kill -9 $(</tmp/burners) && rm /tmp/burners; }; }

# share_of_processor CONTAINER: what one more process in the container's group gets of one, in thousandths
share_of_processor() {
  local folder begun now before after
  folder=$(group cpu "$1") || { echo "$folder" && return 1; }
  (
    echo $BASHPID >"$folder/cgroup.procs" || exit
    read -r before _ </proc/$BASHPID/schedstat
    begun=${EPOCHREALTIME/[.,]/}
    while now=${EPOCHREALTIME/[.,]/} && ((now - begun < 500000)); do :; done
    read -r after _ </proc/$BASHPID/schedstat
    echo $(((after - before) / (now - begun)))
  )
}
