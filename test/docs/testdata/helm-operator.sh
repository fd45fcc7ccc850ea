# What a Helm operator has made of the Journal "diary": its objects have its field manager, an
# owner reference and Helm's label, and there is a release.
kubectl apply -f - <<'CRD'
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: journals.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {kind: Journal, plural: journals, singular: journal}
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}}
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec: {type: object, x-kubernetes-preserve-unknown-fields: true}
          status: {type: object, x-kubernetes-preserve-unknown-fields: true}
CRD
kubectl wait --for condition=established crd/journals.example.com
kubectl create namespace journal-operator-system
kubectl --namespace journal-operator-system create deployment journal-operator-controller-manager --image example.com/journal-operator
kubectl apply -f - <<'JOURNAL'
apiVersion: example.com/v1
kind: Journal
metadata: {name: diary, namespace: default, finalizers: [helm.sdk.operatorframework.io/uninstall-release]}
spec: {image: {repository: example.com/journal, tag: "2"}, hosts: [diary.example.com]}
JOURNAL
uid=$(kubectl get journal diary -o 'jsonpath={.metadata.uid}')
kubectl create --field-manager helm-operator -f - <<OBJECTS
apiVersion: apps/v1
kind: Deployment
metadata:
  name: diary
  namespace: default
  labels: {app.kubernetes.io/managed-by: Helm, helm.sdk.operatorframework.io/chart: journal}
  ownerReferences:
  - {apiVersion: example.com/v1, kind: Journal, name: diary, uid: "$uid", controller: true, blockOwnerDeletion: true}
spec:
  replicas: 1
  selector: {matchLabels: {journal: diary}}
  template:
    metadata: {labels: {journal: diary}}
    spec: {containers: [{name: journal, image: "example.com/journal:2"}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: diary-diary.example.com
  namespace: default
  labels: {helm.sdk.operatorframework.io/chart: journal}
  ownerReferences:
  - {apiVersion: example.com/v1, kind: Journal, name: diary, uid: "$uid", controller: true, blockOwnerDeletion: true}
spec:
  rules:
  - host: diary.example.com
    http:
      paths:
      - {path: /, pathType: Prefix, backend: {service: {name: diary, port: {number: 80}}}}
OBJECTS
kubectl create secret generic sh.helm.release.v1.diary.v1
kubectl label secret sh.helm.release.v1.diary.v1 owner=helm name=diary
