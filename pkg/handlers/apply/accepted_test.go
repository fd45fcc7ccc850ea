package apply_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kinds"
)

const acceptedCRD = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
spec:
  group: demo.kooperd.dev
  scope: Namespaced
  names: {kind: Shop, plural: shops}
  versions:
  - name: v1
    served: true
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            properties:
              size: {anyOf: [{type: integer}, {type: string}], x-kubernetes-int-or-string: true}
              color: {type: string}
              times: {type: array, items: {type: string, format: date-time}}
              ports: {type: array, items: {x-kubernetes-int-or-string: true}}
              numbers: {type: array, items: {type: integer}}
              pairs: {type: array, items: {type: array, items: {type: string}}}
              a.b: {type: object, properties: {x: {type: string}}}
              a: {type: object, properties: {b: {type: object, properties: {z: {type: string}}}}}
              open: {x-kubernetes-preserve-unknown-fields: true, properties: {k: {type: string}}, allOf: [{properties: {k: {minLength: 1}}}]}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
spec:
  group: demo.kooperd.dev
  preserveUnknownFields: true
  names: {kind: Keeper, plural: keepers}
  versions: [{name: v1, served: true, schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object}}}}}]
---
apiVersion: apiextensions.k8s.io/v1beta1
kind: CustomResourceDefinition
spec:
  group: demo.kooperd.dev
  names: {kind: Elder, plural: elders}
  versions: [{name: v1, served: true, schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object}}}}}]
`

// acceptedKinds is what is known of a definition of the kind of acceptedCRD.
func acceptedKinds(t *testing.T) handlers.Kinds {
	t.Helper()
	file := filepath.Join(t.TempDir(), "crd.yaml")
	if err := os.WriteFile(file, []byte(acceptedCRD), 0o600); err != nil {
		t.Fatal(err)
	}
	custom, err := kinds.ReadCRDs(file)
	if err != nil {
		t.Fatal(err)
	}
	return handlers.Kinds{
		Watched: schema.GroupVersionKind{Group: "demo.kooperd.dev", Version: "v1", Kind: "Shop"},
		TypeOf:  custom.TypeOf, ScopeOf: custom.ScopeOf, IsCustom: custom.IsCustom,
	}
}

// What looks like a mistake and is none.
func TestAccepted(t *testing.T) {
	known := acceptedKinds(t)
	child := func(template string) string { return `children: {a: {template: {` + template + `}}}` }
	configMap := func(data string) string {
		return child(`apiVersion: v1, kind: ConfigMap, metadata: {name: m}, data: ` + data)
	}
	pod := func(container string) string {
		return child(`apiVersion: v1, kind: Pod, metadata: {name: m}, spec: {containers: [{name: x, image: x, ` + container + `}]}`)
	}
	for name, config := range map[string]string{
		"a template of ExternalSecrets":          child(`apiVersion: external-secrets.io/v1, kind: ExternalSecret, metadata: {name: m}, spec: {target: {template: {metadata: {labels: {tenant: "{{ .tenant }}"}}}}}`),
		"a template of Argo CD":                  child(`apiVersion: argoproj.io/v1alpha1, kind: ApplicationSet, metadata: {name: m}, spec: {template: {metadata: {labels: {env: "{{path.basename}}"}}}}`),
		"a pattern of Kyverno":                   child(`apiVersion: kyverno.io/v1, kind: ClusterPolicy, metadata: {name: m}, spec: {rules: [{match: {any: [{resources: {selector: {matchLabels: {team: "*"}}}}]}}]}`),
		"a patch of Kyverno":                     child(`apiVersion: kyverno.io/v1, kind: ClusterPolicy, metadata: {name: m}, spec: {rules: [{mutate: {patchStrategicMerge: {metadata: {labels: {"+(team)": none}}}}}]}`),
		"an expression of an admission policy":   child(`apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingAdmissionPolicy, metadata: {name: m}, spec: {variables: [{name: foo, expression: object.spec.foo}], auditAnnotations: [{key: name, valueExpression: object.metadata.name}]}`),
		"a host like a path":                     child(`apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: m}, spec: {rules: [{host: children.example.org}]}`),
		"a name like a path":                     child(`apiVersion: v1, kind: ConfigMap, metadata: {name: children.example.org}`),
		"the braces of others, raw":              `children: {a: {raw: true, template: {apiVersion: apps/v1, kind: Deployment, metadata: {name: m, annotations: {x: "{{ object.spec.x }}"}}}}}`,
		"a name with a colon, of an unknown API": child(`apiVersion: image.openshift.io/v1, kind: ImageStreamTag, metadata: {name: "app:latest"}`),
		"an optional value in a map":             configMap(`"${{'color': object.spec.?color}}"`),
		"an optional object in a list":           pod(`env: "${[optional.of({'name': 'A', 'value': '1'})]}"`),
		"optional texts in a list":               pod(`args: "${['a'].map(n, object.metadata.?labels[?n])}"`),
		"a quantity as a text":                   configMap(`{size: "${object.spec.size}"}`),
		"quantities as texts":                    configMap(`"${{'a': object.spec.size}}"`),
		"a quantity made a text":                 configMap(`{size: "${object.spec.size + 'Gi'}"}`),
		"a port as a text":                       `children: {s: {template: {apiVersion: v1, kind: Service, metadata: {name: m}}}, a: {template: {apiVersion: v1, kind: ConfigMap, metadata: {name: m}, data: {port: "${children.s.spec.ports[0].targetPort}"}}}}`,
		"a port as a number":                     `children: {s: {template: {apiVersion: v1, kind: Service, metadata: {name: m}}}, a: {template: {apiVersion: apps/v1, kind: Deployment, metadata: {name: m}, spec: {replicas: "${children.s.spec.ports[0].targetPort}"}}}}`,
		"keys with dots":                         `children: {a: {includeWhen: "[object.spec['a.b']].exists(p, object.spec.a.b.z == p.x)", template: {apiVersion: v1, kind: ConfigMap, metadata: {name: m}}}}`,
		"a field beside those of a schema":       configMap(`{x: "${string(object.spec.open.other)}"}`),
		"a field that is kept":                   child(`apiVersion: demo.kooperd.dev/v1, kind: Keeper, metadata: {name: m}, spec: {other: 1}`),
		"a field that is kept by default":        child(`apiVersion: demo.kooperd.dev/v1, kind: Elder, metadata: {name: m}, spec: {other: 1}`),
		"one for each time":                      `children: {a: {forEach: object.spec.times, template: {apiVersion: v1, kind: ConfigMap, metadata: {name: "${item}"}}}}`,
		"one for each port":                      `children: {a: {forEach: object.spec.ports, template: {apiVersion: v1, kind: ConfigMap, metadata: {name: "p-${item}"}}}}`,
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff([]string(nil), problemsBy(t, config, known)); diff != "" {
				t.Errorf("(-want +have):\n%s", diff)
			}
		})
	}
}

// What is like that and is a mistake.
func TestNotAccepted(t *testing.T) {
	known := acceptedKinds(t)
	child := func(template string) string { return `children: {a: {template: {` + template + `}}}` }
	const label = `can never be the value of a label: it may have at most 63 characters, letters, digits, -, _ and ., and begins and ends with a letter or digit`
	const stays = `its child has to be known by something that stays when the list changes`
	each := func(list string) string {
		return `children: {a: {forEach: object.spec.` + list + `, template: {apiVersion: v1, kind: ConfigMap, metadata: {name: x}}}}`
	}
	for name, tc := range map[string]struct{ config, want string }{
		"a label of a template of Pods": {
			child(`apiVersion: apps/v1, kind: Deployment, metadata: {name: m}, spec: {template: {metadata: {labels: {a: "*"}}}}`),
			`children."a".template."spec"."template"."metadata"."labels"."a"@0: "*" ` + label + `; write it into an annotation`,
		},
		"a label of a selector": {
			child(`apiVersion: apps/v1, kind: Deployment, metadata: {name: m}, spec: {selector: {matchLabels: {a: "{{ x }}"}}}`),
			`children."a".template."spec"."selector"."matchLabels"."a"@0: "{{ x }}" ` + label + `; expressions stand in ${ and }, as in "${object.metadata.name}"`,
		},
		"a label of a custom kind": {
			child(`apiVersion: kyverno.io/v1, kind: ClusterPolicy, metadata: {name: m, labels: {a: "*"}}`),
			`children."a".template."metadata"."labels"."a"@0: "*" ` + label + `; write it into an annotation`,
		},
		"the braces of others": {
			child(`apiVersion: apps/v1, kind: Deployment, metadata: {name: m}, spec: {template: {spec: {nodeName: "{{ object.spec.node }}"}}}`),
			`children."a".template."spec"."template"."spec"."nodeName"@0: "{{ object.spec.node }}" is a text and no expression; write "${object.spec.node}"`,
		},
		"a name of a custom kind": {
			child(`apiVersion: demo.kooperd.dev/v1, kind: Shop, metadata: {name: Web}`),
			`children."a".template."metadata"."name"@0: "Web" can never be the name of a Shop: it may have at most 253 characters, small letters, digits, - and ., and begins and ends with a letter or digit; did you mean "web"?`,
		},
		"a calculation with a quantity for a text": {
			child(`apiVersion: v1, kind: ConfigMap, metadata: {name: m}, data: {x: "${object.spec.size * 2}"}`),
			`children."a".template."data"."x"@19: data.x is a string, but object.spec.size * 2 is a number`,
		},
		"an optional number for a text": {
			child(`apiVersion: v1, kind: ConfigMap, metadata: {name: m}, data: "${{'x': optional.of(1)}}"`),
			`children."a".template."data"@2: data is a map, but {"x": optional.of(1)} is a map`,
		},
		"one for each number": {each("numbers"), `children."a".forEach@0: each entry is a number: ` + stays + `; add key, as in key: "string(item)"`},
		"one for each list":   {each("pairs"), `children."a".forEach@0: each entry is a list: ` + stays + `; add key, as in key: "item[0]"`},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff([]string{tc.want}, problemsBy(t, tc.config, known)); diff != "" {
				t.Errorf("(-want +have):\n%s", diff)
			}
		})
	}
}
