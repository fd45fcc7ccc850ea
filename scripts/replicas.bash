# What the scripts share that run replicas of kooperd apart from one another against a devcluster. Sourced, by scripts that
# set $dir, a folder for the cluster and the kubeconfig of the replicas.
#
# shellcheck shell=bash disable=SC2034,SC2154

# engine_answers says whether a Docker engine can be used.
engine_answers() { docker info >/dev/null 2>&1; }

# start_engine starts a Docker engine of this script's own, for root where none runs: with its socket and its data in $dir,
# and without changing the firewall, the routing or the interfaces of the machine, which replicas on a bridge do not need.
# It has a session of its own, so that Ctrl-C does not end it before this script has removed what is in it.
start_engine() {
	local deadline=$((SECONDS + 60))
	if ((EUID != 0)) || ! command -v docker dockerd >/dev/null; then
		return 1
	fi
	export DOCKER_HOST=unix://$dir/docker.sock
	setsid dockerd --host "$DOCKER_HOST" --data-root "$dir/docker" --exec-root "$dir/docker-exec" --pidfile "$dir/docker.pid" \
		--bridge none --iptables=false --ip-forward=false --ip-masq=false >"$dir/docker.log" 2>&1 &
	engine=$!
	until engine_answers; do
		if ((SECONDS > deadline)) || ! kill -0 "$engine" 2>/dev/null; then
			tail -5 "$dir/docker.log" >&2
			return 1
		fi
		sleep 0.2
	done
}
stop_engine() {
	if [[ -n ${engine:-} ]] && kill -TERM "$engine" 2>/dev/null; then wait "$engine" || true; fi
}

# load_image sets $image to the name of the image that "make image" has built for this machine.
load_image() {
	local architecture
	case $(uname -m) in
	x86_64) architecture=amd64 ;;
	aarch64) architecture=arm64 ;;
	*) architecture=$(uname -m) ;;
	esac
	image=$(docker load -q -i "dist/kooperd-image-$architecture.tar")
	image=${image##*Loaded image: }
}

# start_cluster GATEWAY starts a devcluster for replicas that reach this machine by the address of their gateway, and sets
# $KUBECONFIG. The API server listens there too, and goes by the name that its certificate has.
start_cluster() {
	local ready server
	coproc CLUSTER { exec bin/devcluster --dir "$dir/cluster" --exit-on-stdin-eof --apiserver-arg bind-address=0.0.0.0; }
	read -r ready <&"${CLUSTER[0]}" || exit 1
	export KUBECONFIG=${ready#*KUBECONFIG=}
	server=$(kubectl config view -o 'jsonpath={.clusters[0].cluster.server}')
	cp "$KUBECONFIG" "$dir/kubeconfig"
	kubectl --kubeconfig "$dir/kubeconfig" config set-cluster "$(kubectl config view -o 'jsonpath={.clusters[0].name}')" \
		--server "https://$1:${server##*:}" --tls-server-name localhost >/dev/null
	chmod 644 "$dir/kubeconfig"
}
stop_cluster() {
	if [[ -n ${CLUSTER_PID:-} ]] && kill -TERM "$CLUSTER_PID" 2>/dev/null; then wait "$CLUSTER_PID" 2>/dev/null || true; fi
}
kubectl() { bin/devcluster kubectl "$@"; }

# Replicas as containers of $image on the Docker network $bridge, named for both, with no more rights than they need,
# working by $config. The file $dir/kubeconfig is readable for all, because their user is nobody that this machine knows.
restrictions=(--read-only --cap-drop ALL --user 65532 --security-opt no-new-privileges)
docker_up() {
	docker network create "$bridge" >/dev/null
	gateway=$(docker network inspect "$bridge" -f '{{(index .IPAM.Config 0).Gateway}}')
	load_image
}
docker_down() { docker network rm "$bridge" >/dev/null 2>&1 || true; }
docker_start() {
	run docker run --detach --name "$bridge-$1" --hostname "$1" --network "$bridge" --restart always "${restrictions[@]}" \
		-v "$dir/kubeconfig:/kubeconfig:ro" -v "$PWD/$config:/controllers.cue:ro" \
		"$image" --config /controllers.cue --kubeconfig /kubeconfig >/dev/null
}
docker_remove() { docker rm -f "$bridge-$1" >/dev/null 2>&1 || true; }
docker_disconnect() { run docker network disconnect "$bridge" "$bridge-$1"; }
docker_connect() { run docker network connect "$bridge" "$bridge-$1"; }
docker_stop() { run docker stop "$bridge-$1" >/dev/null; }
docker_log() { docker logs "$bridge-$1" 2>&1; }

# say prints what the next lines show, and run a command that it runs.
exec 3>&1
say() { printf '\n# %s\n' "$*"; }
run() {
	printf '$ %s\n' "$*" >&3
	"$@"
}

# await NAME COUNT TEXT waits until the log of a replica has that many lines with the text, and prints the last one. The
# replicas are those of $mode.
await() {
	local deadline=$((SECONDS + 90))
	while (($(count "$1" "$3") < $2)); do
		if ((SECONDS > deadline)); then
			echo "$0: $1 has not logged '$3' within 90 seconds; its log ends:" >&2
			"${mode}_log" "$1" | tail -20 >&2
			exit 1
		fi
		sleep 0.2
	done
	printf '%s: ' "$1"
	"${mode}_log" "$1" | grep -- "$3" | tail -1 | cut -c1-200
}
count() { "${mode}_log" "$1" | grep -c -- "$2" || true; }
holder() { kubectl get lease example-leader-election -o 'jsonpath={.spec.holderIdentity}'; }
