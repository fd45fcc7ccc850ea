# A config for pages that take one for granted: controllers.cue, for the namespace payments.
kubectl create namespace payments --dry-run=client -o yaml | kubectl apply -f -
cat >controllers.cue <<'CONFIG'
apiVersion: "kooperd.dev/v1alpha1"
controllers: pods: {
	watch: {apiVersion: "v1", kind: "Pod", namespaces: ["payments"]}
	handler: log: {}
}
CONFIG
