# The agent: runs beside a container and does what it is told, line by line: it answers each with "ok" or "failed" and
# what was printed. It undoes everything when it is told to end, when its standard input closes, when it is terminated,
# and when nobody has said anything for the lease: so a fault ends though whoever did it was killed.
#
#   do COMMAND     runs it
#   undo COMMAND   will run it at the end, the latest first
#   renew COMMAND  will run it at each sign of life
#   alive          a sign of life
#   end            undoes everything, and ends
lease=$1
undos=() renewals=()

undo_all() {
  local index outcome=0
  for ((index = ${#undos[@]} - 1; index >= 0; index--)); do
    eval "${undos[index]}" || outcome=$?
  done
  undos=()
  return "$outcome"
}

renew_all() {
  local renewal
  for renewal in "${renewals[@]}"; do
    eval "$renewal" || return
  done
}

trap 'undo_all' EXIT
trap 'exit 0' TERM INT HUP

while IFS= read -r -t "$lease" line; do
  case $line in
    'do '*) output=$(eval "${line#do }" 2>&1) && word=ok || word=failed ;;
    'undo '*) undos+=("${line#undo }") && output='' word=ok ;;
    'renew '*) renewals+=("${line#renew }") && output='' word=ok ;;
    alive) output=$(renew_all 2>&1) && word=ok || word=failed ;;
    end) undo_all >/tmp/undone 2>&1 && word=ok || word=failed && output=$(</tmp/undone) ;;
    *) output="no such order: $line" word=failed ;;
  esac
  printf '%s %s\n' "$word" "${output//$'\n'/ | }"
  [[ $line != end ]] || break
done
