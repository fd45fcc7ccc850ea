# What kro has made of the Shop "bakery": its objects have kro's field manager and labels.
kubectl apply -f - <<'CRD'
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: shops.kro.run}
spec:
  group: kro.run
  scope: Namespaced
  names: {kind: Shop, plural: shops, singular: shop}
  versions:
  - name: v1alpha1
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
              replicas: {type: integer, default: 1}
              public: {type: boolean, default: false}
              hosts: {type: array, default: [], items: {type: string}}
          status:
            type: object
            properties:
              address: {type: string}
              state: {type: string}
              conditions:
                type: array
                items:
                  type: object
                  properties:
                    type: {type: string}
                    status: {type: string}
                    reason: {type: string}
                    message: {type: string}
                    lastTransitionTime: {type: string}
                    observedGeneration: {type: integer}
CRD
kubectl apply -f - <<'CRD'
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: resourcegraphdefinitions.kro.run
spec:
  group: kro.run
  scope: Cluster
  names: {kind: ResourceGraphDefinition, plural: resourcegraphdefinitions, singular: resourcegraphdefinition}
  versions:
  - name: v1alpha1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
CRD
kubectl wait --for condition=established crd/shops.kro.run crd/resourcegraphdefinitions.kro.run
kubectl apply -f shop-rgd.yaml
kubectl create configmap shop-settings --from-literal currency=CHF
kubectl apply -f - <<'SHOP'
apiVersion: kro.run/v1alpha1
kind: Shop
metadata: {name: bakery, namespace: default, finalizers: [kro.run/finalizer]}
spec: {image: "example.com/shop:1", public: true, hosts: [shop.example.com]}
SHOP
kubectl apply --server-side --field-manager kro.run/applyset -f - <<'OBJECTS'
apiVersion: apps/v1
kind: Deployment
metadata: {name: bakery, namespace: default, labels: {kro.run/owned: "true", applyset.kubernetes.io/part-of: applyset-1}}
spec:
  replicas: 1
  selector: {matchLabels: {shop: bakery}}
  template:
    metadata: {labels: {shop: bakery}}
    spec:
      containers:
      - {name: shop, image: "example.com/shop:1", env: [{name: CURRENCY, value: CHF}]}
---
apiVersion: v1
kind: Service
metadata: {name: bakery, namespace: default, labels: {kro.run/owned: "true"}}
spec: {selector: {shop: bakery}, ports: [{port: 80}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: bakery-shop.example.com, namespace: default, labels: {kro.run/owned: "true"}}
spec:
  rules:
  - host: shop.example.com
    http:
      paths:
      - {path: /, pathType: Prefix, backend: {service: {name: bakery, port: {number: 80}}}}
OBJECTS
