# What docs/runbooks.md takes for granted: an object that somebody may change, and one that a finalizer keeps.
kubectl create namespace payments
kubectl --namespace payments create configmap hello
kubectl create -f - <<'KEPT'
apiVersion: v1
kind: ConfigMap
metadata: {name: kept, namespace: payments, finalizers: [example.com/guard]}
KEPT
kubectl --namespace payments delete configmap kept --wait=false
