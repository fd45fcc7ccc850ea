# What docs/fence.md takes for granted: a config with the lease kooper-system/kooperd, and a replica that holds it.
cat >controllers.cue <<'CONFIG'
apiVersion: "kooperd.dev/v1alpha1"
leaderElection: {name: "kooperd", namespace: "kooper-system"}
controllers: pods: {
	watch: {apiVersion: "v1", kind: "Pod"}
	handler: log: {}
}
CONFIG
kubectl create namespace kooper-system
kubectl create -f - <<'LEASE'
apiVersion: coordination.k8s.io/v1
kind: Lease
metadata: {name: kooperd, namespace: kooper-system}
spec: {holderIdentity: kooperd-7c9d_0d5e}
LEASE
