# Sourced by serve.sh and sekmet.sh: a server in the background, known by its port.
# Its process id and its log are target/PORT.pid and target/PORT.log.

# start_server PORT BASE COMMAND...   waits until BASE/metadata answers, then prints BASE; else the end of the log, and 1
start_server() {
    local port=$1 base=$2
    shift 2
    if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
        echo "port $port is taken" >&2
        return 1
    fi
    nohup nice "$@" >"target/$port.log" 2>&1 </dev/null &
    echo $! >"target/$port.pid"
    trap 'stop_server "$port"; exit 130' INT TERM
    local give_up=$((SECONDS + ${WAIT:-240}))
    while ((SECONDS < give_up)) && kill -0 "$(<"target/$port.pid")" 2>/dev/null; do
        if curl -s -f -o /dev/null -m 10 "$base/metadata"; then
            echo "$base"
            return 0
        fi
        sleep 0.5
    done
    echo "no FHIR server at $base; the end of target/$port.log:" >&2
    tail -n 30 "target/$port.log" >&2
    stop_server "$port"
    return 1
}

# stop_server PORT   ends what start_server started there and waits for it; nothing there is no error
stop_server() {
    [ -s "target/$1.pid" ] || return 0
    local pid
    pid=$(<"target/$1.pid")
    rm "target/$1.pid"
    kill "$pid" 2>/dev/null || return 0
    for _ in $(seq 50); do
        kill -0 "$pid" 2>/dev/null || return 0
        sleep 0.2
    done
    kill -9 "$pid" 2>/dev/null || true
}
