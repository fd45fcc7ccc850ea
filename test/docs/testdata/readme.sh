# What README.md shows of /readyz: one definition that runs, one that is forbidden, one whose kind is not there.
kubectl create namespace payments --dry-run=client -o yaml | kubectl apply -f -
until kubectl --namespace payments get serviceaccount default; do :; done
kubectl --namespace payments create role greetings --resource configmaps --verb list,watch
kubectl --namespace payments create rolebinding greetings --role greetings --serviceaccount payments:default
cat >readyz.yaml <<'CONFIG'
apiVersion: kooperd.dev/v1alpha1
leaderElection: disabled
controllers:
  greetings:
    watch: {apiVersion: v1, kind: ConfigMap, namespaces: [payments]}
    handler: {log: {}}
  secrets:
    watch: {apiVersion: v1, kind: Secret, namespaces: [payments]}
    handler: {log: {}}
  widgets:
    watch: {apiVersion: example.com/v1, kind: Widget}
    handler: {log: {}}
CONFIG
cp "$KUBECONFIG" limited
kubectl config --kubeconfig limited set-credentials limited --token "$(kubectl --namespace payments create token default)"
kubectl config --kubeconfig limited set-context --current --user limited
