package apply_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/handlers/apply"
)

// problemsOf returns what is wrong with a config in YAML, one line each.
func problemsOf(t *testing.T, config string, watched schema.GroupVersionKind) []string {
	t.Helper()
	raw, err := yaml.YAMLToJSON([]byte(config))
	if err != nil {
		t.Fatal(err)
	}
	registry, err := handlers.NewRegistry(apply.Plugin)
	if err != nil {
		t.Fatal(err)
	}
	_, problems, err := registry.BindFor("apply", raw, handlers.Kinds{Watched: watched})
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, p := range problems {
		line := fmt.Sprintf("%s@%d: %s", p.Path, p.Offset, p.Message)
		if p.Unknown != "" {
			line += "; unknown " + p.Unknown
		} else if p.Hint != "" {
			line += "; " + p.Hint
		}
		all = append(all, line)
	}
	return all
}

func TestMistakes(t *testing.T) {
	deployment := func(spec string) string {
		return `children: {a: {template: {apiVersion: apps/v1, kind: Deployment, metadata: {name: x}, spec: ` + spec + `}}}`
	}
	const configMap = `apiVersion: v1, kind: ConfigMap, metadata: {name: m}`
	for name, tc := range map[string]struct {
		config string
		want   []string
	}{
		"unknown field of a template":     {deployment(`{replica: 1}`), []string{`children."a".template."spec"."replica"@0: there is no field spec.replica; unknown replica`}},
		"a literal that does not fit":     {deployment(`{replicas: "3"}`), []string{`children."a".template."spec"."replicas"@0: spec.replicas is a number, but "3" is a string`}},
		"a text that does not fit":        {deployment(`{replicas: "${1}0"}`), []string{`children."a".template."spec"."replicas"@0: spec.replicas is a number, but "${1}0" is a string`}},
		"an expression that does not fit": {deployment(`{replicas: "${object.metadata.name}"}`), []string{`children."a".template."spec"."replicas"@18: spec.replicas is a number, but object.metadata.name is a string`}},
		"a list that does not fit":        {deployment(`{template: {spec: {containers: {name: x}}}}`), []string{`children."a".template."spec"."template"."spec"."containers"@0: spec.template.spec.containers is a list, but it is an object`}},
		"a map that does not fit":         {deployment(`{template: {metadata: {labels: "${object.metadata.name}"}}}`), []string{`children."a".template."spec"."template"."metadata"."labels"@18: spec.template.metadata.labels is a map, but object.metadata.name is a string`}},
		"what fits":                       {deployment(`{replicas: "${object.spec.n}", paused: "${object.metadata.name == 'x'}", template: {spec: {containers: [{name: "${object.metadata.name}", image: x, resources: {limits: {cpu: 1, memory: "${'1Gi'}"}}, ports: [{containerPort: "${80}"}], livenessProbe: {httpGet: {port: "${object.spec.port}"}}}]}}, strategy: {rollingUpdate: {maxSurge: "${1}"}}}`), nil},
		"unknown field of the object":     {deployment(`{replicas: "${object.metadata.nam}"}`), []string{`children."a".template."spec"."replicas"@18: there is no field object.metadata.nam; unknown nam`}},
		"unknown child":                   {deployment(`{replicas: "${children.b.spec.replicas}"}`), []string{`children."a".template."spec"."replicas"@11: there is no field children.b; unknown b`}},
		"unknown function":                {deployment(`{replicas: "${siz(object.spec.l)}"}`), []string{`children."a".template."spec"."replicas"@5: there is no variable or function siz; unknown siz`}},
		"a field of another child":        {`children: {a: {template: {` + configMap + `, data: {x: "${children.b.spec.replica}"}}}, b: {template: {apiVersion: apps/v1, kind: Deployment, metadata: {name: x}}}}`, []string{`children."a".template."data"."x"@18: there is no field children.b.spec.replica; unknown replica`}},
		"syntax":                          {deployment(`{replicas: "${object.spec. + 1}"}`), []string{`children."a".template."spec"."replicas"@15: not a CEL expression: unexpected '. +'`}},
		"not closed":                      {deployment(`{replicas: "${object.spec"}`), []string{`children."a".template."spec"."replicas"@0: the expression after ${ is not closed; close it with }, or write $${ for a ${ that is no expression`}},
		"bytes":                           {`children: {a: {template: {` + configMap + `, data: {x: "${b'x'}"}}}}`, []string{`children."a".template."data"."x"@2: b"\170" is bytes, which is no JSON`}},
		"a map in a text":                 {`children: {a: {template: {` + configMap + `, data: {x: "a${object.metadata.labels}"}}}}`, []string{`children."a".template."data"."x"@19: object.metadata.labels is a map, which cannot stand within a text`}},
		"kind is an expression":           {`children: {a: {template: {apiVersion: v1, kind: "${object.spec.kind}", metadata: {name: x}}}}`, []string{`children."a".template.kind@0: is an expression, and has to be known without a parent: the rights and the watches follow from it; write one child for each kind, with includeWhen`}},
		"no kind":                         {`children: {a: {template: {apiVersion: v1}}}`, []string{`children."a".template@0: has no kind`}},
		"a cycle":                         {`children: {a: {template: {` + configMap + `, data: {x: "${children.b.data.x}"}}}, b: {template: {` + configMap + `, data: {x: "${children.c.data.x}"}}}, c: {after: [a], template: {` + configMap + `}}}`, []string{`children."a"@0: reads itself: a reads b reads c reads a; take one of these out of the templates`}},
		"a cycle that is not entered at its first name": {`children: {a: {after: [c], template: {` + configMap + `}}, b: {after: [c], template: {` + configMap + `}}, c: {after: [b], template: {` + configMap + `}}}`, []string{`children."c"@0: reads itself: c reads b reads c; take one of these out of the templates`}},
		"one object of any namespace":                   {`related: {s: {apiVersion: v1, kind: Secret, name: x}}` + "\n" + `children: {}`, []string{`related."s".name@0: may be that of several objects, each in a namespace; add namespace, or sameNamespace: true for the one beside the parent`}},
		"a condition of kooperd's own":                  {`children: {}` + "\n" + `conditions: {Ready: {when: "true"}}`, []string{`conditions."Ready"@0: is a condition of kooperd's own; choose another name than Degraded, Progressing, Ready`}},
		"conditions twice":                              {`children: {}` + "\n" + `status: {conditions: []}` + "\n" + `conditions: {X: {when: "true"}}`, []string{`status.conditions@0: is there beside conditions; write all of them in conditions`}},
		"a Job that may be gone":                        {`children: {j: {template: {apiVersion: batch/v1, kind: Job, metadata: {name: x}, spec: {ttlSecondsAfterFinished: 5}}}, a: {template: {` + configMap + `, data: {x: "${children.j.metadata.name}"}}}}`, []string{`children."a"@0: reads the child j, which is deleted some time after it has finished, and cannot be read then; come after it with after alone, or say whenGone: "recreate" there`}},
		"for each of no list":                           {`children: {a: {forEach: object.metadata.name, key: item, template: {` + configMap + `}}}`, []string{`children."a".forEach@16: want a list, but object.metadata.name is a string`}},
		"a variable that is taken":                      {`children: {a: {forEach: object.spec.l, as: related, template: {` + configMap + `}}}`, []string{`children."a".as@0: "related" cannot be the name of a variable here; choose another one, such as item`}},
		"an entry of a known kind":                      {`related: {teams: {apiVersion: v1, kind: Namespace}}` + "\n" + `children: {a: {forEach: related.teams, as: ns, key: ns.metadata.nme, template: {` + configMap + `}}}`, []string{`children."a".key@12: there is no field ns.metadata.nme; unknown nme`}},
		"key without forEach":                           {`children: {a: {key: object.metadata.name, template: {` + configMap + `}}}`, []string{`children."a"@0: has as or key without forEach`}},
		"no condition":                                  {`children: {a: {includeWhen: object.metadata.name, template: {` + configMap + `}}}`, []string{`children."a".includeWhen@16: want true or false, but object.metadata.name is a string; compare it`}},
		"self outside readyWhen":                        {`children: {a: {readyWhen: self.metadata.name == '', includeWhen: self.x, template: {` + configMap + `}}}`, []string{`children."a".includeWhen@0: there is no variable or function self; unknown self`}},
		"a field of self":                               {`children: {a: {readyWhen: self.dat.x == '', template: {` + configMap + `}}}`, []string{`children."a".readyWhen@5: there is no field self.dat; unknown dat`}},
		"no such child to come after":                   {`children: {a: {after: [b], template: {` + configMap + `}}}`, []string{`children."a".after[0]@0: there is no child b; unknown b`}},
		"a label selector":                              {`related: {s: {apiVersion: v1, kind: Secret, labelSelector: "a in"}}` + "\n" + `children: {}`, []string{`related."s".labelSelector@0: is no label selector: couldn't parse the selector string "a in": unable to parse requirement: found '' expected: '('; write it as in "app=web,tier in (a, b)"`}},
		"an expression in a key":                        {`children: {a: {template: {` + configMap + `, data: {"${x}": z}}}}`, []string{`children."a".template."data"."${x}"@0: the key "${x}" has an expression in it; keys are taken as they are written: make the whole map with an expression`}},
		"what no cached object has":                     {`children: {a: {template: {` + configMap + `, data: {x: "${string(size(object.metadata.managedFields))}"}}}}`, []string{`children."a".template."data"."x"@30: metadata.managedFields is dropped when an object arrives: nothing is ever there; leave it out`}},
		"several at once, in one text as well":          {`children: {a: {template: {` + configMap + `, data: {x: "${object.metadata.nam}-${chldren.a}", z: 1}}}}`, []string{`children."a".template."data"."x"@18: there is no field object.metadata.nam; unknown nam`, `children."a".template."data"."x"@25: there is no variable or function chldren; unknown chldren`, `children."a".template."data"."z"@0: data.z is a string, but 1 is a number`}},
	} {
		t.Run(name, func(t *testing.T) {
			have := problemsOf(t, tc.config, schema.GroupVersionKind{Group: "demo.kooperd.dev", Version: "v1", Kind: "Website"})
			if diff := cmp.Diff(tc.want, have); diff != "" {
				t.Errorf("(-want +have):\n%s", diff)
			}
		})
	}
}

// What a built-in kind does not have is known of the parent too.
func TestMistakesOfKnownParents(t *testing.T) {
	have := problemsOf(t, `children: {a: {template: {apiVersion: v1, kind: ConfigMap, metadata: {name: "${object.spec.nodeNam}"}}}}`,
		schema.GroupVersionKind{Version: "v1", Kind: "Pod"})
	if text := strings.Join(have, "\n"); !strings.Contains(text, "there is no field object.spec.nodeNam") {
		t.Errorf("have %q", have)
	}
}
