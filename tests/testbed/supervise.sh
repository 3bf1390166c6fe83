#!/bin/sh
# One private dockerd: started here, taken down here, whatever becomes of the test that wanted it.
# Arguments: an empty folder, a storage driver, more arguments of dockerd. Ends when its standard input ends; a
# line `power` on it takes the engine's power away and gives it back.
dir=$1
driver=$2
shift 2
trap '' INT TERM HUP

# A bridge of its own: making it is the lock that keeps parallel engines off each other's addresses.
n=0
while ! ip link add name "hoist$n" type bridge 2>/dev/null; do
    n=$((n + 1))
    if [ "$n" -ge 250 ]; then
        echo "no bridge can be made" >"$dir/failed"
        exit 1
    fi
done
ip addr add "198.18.$n.1/24" dev "hoist$n"
ip link set "hoist$n" up

# Dockerd 20.10 has its id from a key in /etc that all engines of a machine would share.
case $(dockerd --version) in
*" 20.10"*)
    config=$dir/daemon.json
    echo "{\"deprecated-key-path\": \"$dir/key.json\"}" >"$config"
    ;;
*)
    config=$dir/daemon.json
    echo "{}" >"$config"
    ;;
esac

# No iptables: parallel engines would delete each other's chains. The userland proxy publishes ports.
start() {
    dockerd --config-file "$config" --data-root "$dir/data" --exec-root "$dir/exec" --pidfile "$dir/pid" \
        --host "unix://$dir/engine.sock" --bridge "hoist$n" --storage-driver "$driver" \
        --default-address-pool "base=198.19.$n.0/24,size=28" \
        --iptables=false --ip6tables=false --ip-masq=false "$@" \
        >>"$dir/log" 2>&1 </dev/null &
    engine=$!
    (
        wait_for=$engine
        while kill -0 "$wait_for" 2>/dev/null; do sleep 0.2; done
        [ -d "$dir" ] && tail -n 3 "$dir/log" >"$dir/failed"
    ) </dev/null >/dev/null 2>&1 &
    watcher=$!
}

# As a machine that loses its power: the engine first, so that it sees nothing of what ends after it; then
# what lies in memory only. What is on the disk stays.
lose_power() {
    kill -KILL "$watcher" 2>/dev/null
    wait "$watcher" 2>/dev/null
    kill -KILL "$engine" "$(cat "$dir/exec/containerd/containerd.pid")" 2>/dev/null
    wait "$engine" 2>/dev/null
    inits=$(cat "$dir"/exec/containerd/daemon/io.containerd.runtime.v2.task/moby/*/init.pid 2>/dev/null)
    kill_shims
    for init in $inits; do kill -KILL "$init" 2>/dev/null; done
    sleep 0.2
    unmount
    rm -rf "$dir/exec" "$dir/pid" "$dir/engine.sock"
}

kill_shims() {
    for process in /proc/[0-9]*; do
        if { tr '\0' ' ' <"$process/cmdline"; } 2>/dev/null | grep -q "containerd-shim.*$dir/exec"; then
            kill -KILL "${process#/proc/}" 2>/dev/null
        fi
    done
}

unmount() {
    sed -n "s|^[^ ]* \($dir/[^ ]*\) .*|\1|p" /proc/mounts | sort -r | while read -r place; do
        umount -l "$place"
    done
}

start "$@"
while read -r order; do
    if [ "$order" = power ]; then
        lose_power
        start "$@"
        touch "$dir/back"
    fi
done

# It would ignore anything milder, and then write into a folder that is being removed.
kill -KILL "$watcher" 2>/dev/null
wait "$watcher" 2>/dev/null
kill -TERM "$engine" 2>/dev/null
i=0
while kill -0 "$engine" 2>/dev/null && [ "$i" -lt 200 ]; do
    for file in "$dir"/exec/containerd/daemon/io.containerd.runtime.v2.task/moby/*/init.pid; do
        [ -f "$file" ] && kill -KILL "$(cat "$file" 2>/dev/null)" 2>/dev/null
    done
    sleep 0.05
    i=$((i + 1))
done
kill -KILL "$engine" 2>/dev/null
wait "$engine" 2>/dev/null
# One whose container ended while the engine did is told of it by nobody, and stays.
kill_shims
unmount
ip -o -4 addr show | awk -v pool="198.19.$n." 'index($4, pool) == 1 { print $2 }' |
    while read -r bridge; do ip link delete "$bridge"; done
ip link delete "hoist$n"
rm -rf "$dir"
