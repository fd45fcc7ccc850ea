# What docs/status-page.md asks about: one definition that runs, with one object.
kubectl create namespace greetings
kubectl --namespace greetings create configmap hello --from-literal text=hello
cat >greetings.yaml <<'CONFIG'
apiVersion: kooperd.dev/v1alpha1
leaderElection: disabled
controllers:
  greetings:
    watch: {apiVersion: v1, kind: ConfigMap, namespaces: [greetings]}
    handler: {log: {}}
CONFIG
