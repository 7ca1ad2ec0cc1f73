#!/usr/bin/env bash
# Runs a job of several processes as on several machines: each in a network namespace with a host name of its own, joined
# by links of a given rate. Needs root, iproute2 and openmpi-bin.
#   bench/hosts.sh HOSTS RATE PROGRAM ARGUMENTS...     RATE as tc writes it (100mbit, 1gbit), or "full"
# Prints what the program prints, and on standard error the bytes that every host sent.
set -euo pipefail
(($# >= 3)) || { sed -n 2,6p "$0"; exit 2; }
hosts=$1 rate=$2
shift 2
name=stamp$$
work=$(mktemp -d)
finish() {
  for i in $(seq "$hosts"); do ip netns del "$name-$i" 2> /dev/null || true; done
  ip link del "$name" 2> /dev/null || true
  rm -rf "$work"
}
trap finish EXIT

ip link add "$name" type bridge
ip link set "$name" up
for i in $(seq "$hosts"); do
  ip netns add "$name-$i"
  ip link add "e$i-$$" type veth peer name eth0 netns "$name-$i"
  ip link set "e$i-$$" master "$name" up
  ip -n "$name-$i" addr add "10.98.0.$i/24" dev eth0
  ip -n "$name-$i" link set lo up
  ip -n "$name-$i" link set eth0 up
  [[ $rate == full ]] || ip netns exec "$name-$i" tc qdisc add dev eth0 root tbf rate "$rate" burst 256kb latency 200ms
done

# What mpirun calls instead of ssh: AGENT HOST COMMAND...
cat > "$work/agent" << AGENT
#!/bin/sh
host=\$1
shift
exec ip netns exec $name-\${host##*.} unshare --uts sh -c "hostname $name-\${host##*.}; \$*"
AGENT
chmod +x "$work/agent"
list=$(seq -f "10.98.0.%g" -s, "$hosts")
sent() { for i in $(seq "$hosts"); do ip netns exec "$name-$i" cat /sys/class/net/eth0/statistics/tx_bytes; done; }
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
ip netns exec "$name-1" unshare --uts sh -c 'hostname "$0"; exec "$@"' "$name-1" \
  mpirun -n "$hosts" --host "$list" --map-by node --bind-to none --mca plm_rsh_agent "$work/agent" \
  --mca oob_tcp_if_include 10.98.0.0/24 --mca btl_tcp_if_include 10.98.0.0/24 --mca btl tcp,self --mca pml ob1 \
  --mca mpi_yield_when_idle 1 -x OMP_WAIT_POLICY=passive "$@"
echo "bytes sent: $(sent | paste -sd' ')" >&2
