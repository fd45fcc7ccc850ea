# What Crossplane has made of the Store "corner": its objects have a field manager, an owner
# reference and marks of Crossplane.
kubectl apply -f - <<'CRD'
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: stores.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {kind: Store, plural: stores, singular: store}
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}}
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            required: [image]
            properties:
              image: {type: string}
              size: {type: string, default: small}
              logLevel: {type: string}
              crossplane: {type: object, x-kubernetes-preserve-unknown-fields: true}
          status:
            type: object
            properties:
              address: {type: string}
              conditions:
                type: array
                x-kubernetes-list-type: map
                x-kubernetes-list-map-keys: [type]
                items:
                  type: object
                  required: [type, status, reason, lastTransitionTime]
                  properties:
                    type: {type: string}
                    status: {type: string}
                    reason: {type: string}
                    message: {type: string}
                    lastTransitionTime: {type: string, format: date-time}
                    observedGeneration: {type: integer, format: int64}
CRD
kubectl apply -f - <<'CRDS'
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: compositeresourcedefinitions.apiextensions.crossplane.io}
spec:
  group: apiextensions.crossplane.io
  scope: Cluster
  names: {kind: CompositeResourceDefinition, plural: compositeresourcedefinitions, singular: compositeresourcedefinition}
  versions:
  - name: v2
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: compositions.apiextensions.crossplane.io}
spec:
  group: apiextensions.crossplane.io
  scope: Cluster
  names: {kind: Composition, plural: compositions, singular: composition}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
CRDS
kubectl wait --for condition=established crd/stores.example.com crd/compositeresourcedefinitions.apiextensions.crossplane.io \
    crd/compositions.apiextensions.crossplane.io
kubectl apply -f xrd.yaml -f composition.yaml
xrd=$(kubectl get compositeresourcedefinition stores.example.com -o 'jsonpath={.metadata.uid}')
kubectl patch crd stores.example.com --type merge -p '{"metadata":{"ownerReferences":[{"apiVersion":"apiextensions.crossplane.io/v2",
    "kind":"CompositeResourceDefinition","name":"stores.example.com","uid":"'"$xrd"'","controller":true,"blockOwnerDeletion":true}]}}'
kubectl create namespace crossplane-system
kubectl --namespace crossplane-system create deployment crossplane --image example.com/crossplane
kubectl apply -f - <<'STORE'
apiVersion: example.com/v1
kind: Store
metadata: {name: corner, namespace: default, finalizers: [composite.apiextensions.crossplane.io]}
spec: {image: "example.com/store:1", crossplane: {compositionRef: {name: store}}}
STORE
uid=$(kubectl get store corner -o 'jsonpath={.metadata.uid}')
kubectl apply --server-side --field-manager apiextensions.crossplane.io/composed/3a7bd3e2360a -f - <<OBJECTS
apiVersion: apps/v1
kind: Deployment
metadata:
  name: corner
  namespace: default
  labels: {crossplane.io/composite: corner}
  annotations: {crossplane.io/composition-resource-name: server}
  ownerReferences:
  - {apiVersion: example.com/v1, kind: Store, name: corner, uid: "$uid", controller: true, blockOwnerDeletion: true}
spec:
  replicas: 1
  selector: {matchLabels: {store: corner}}
  template:
    metadata: {labels: {store: corner}}
    spec: {containers: [{name: store, image: "example.com/store:1"}]}
---
apiVersion: v1
kind: Service
metadata:
  name: corner
  namespace: default
  labels: {crossplane.io/composite: corner}
  annotations: {crossplane.io/composition-resource-name: service}
  ownerReferences:
  - {apiVersion: example.com/v1, kind: Store, name: corner, uid: "$uid", controller: true, blockOwnerDeletion: true}
spec: {selector: {store: corner}, ports: [{port: 80}]}
OBJECTS
