package apply_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/handlers/apply"
	"kooperd.dev/kooperd/pkg/kinds"
)

// problemsOf returns what is wrong with a config in YAML, one line each.
func problemsOf(t *testing.T, config string, watched schema.GroupVersionKind) []string {
	t.Helper()
	return problemsBy(t, config, handlers.Kinds{Watched: watched, ManyNamespaces: true})
}

// problemsBy is problemsOf with what is known of kinds.
func problemsBy(t *testing.T, config string, known handlers.Kinds) []string {
	t.Helper()
	raw, err := yaml.YAMLToJSON([]byte(config))
	if err != nil {
		t.Fatal(err)
	}
	registry, err := handlers.NewRegistry(apply.Plugin)
	if err != nil {
		t.Fatal(err)
	}
	_, problems, err := registry.BindFor("apply", raw, known)
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
		"a literal that does not fit":     {deployment(`{replicas: "3"}`), []string{`children."a".template."spec"."replicas"@0: spec.replicas is a number, but "3" is a string; write 3 without quotes`}},
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
		"bytes":                           {`children: {a: {template: {` + configMap + `, data: {x: "${b'x'}"}}}}`, []string{`children."a".template."data"."x"@2: b"\170" is bytes, which is no JSON; write string(b"\170")`}},
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
		"self outside readyWhen":                        {`children: {a: {readyWhen: self.metadata.name == '', includeWhen: self.x, template: {` + configMap + `}}}`, []string{`children."a".includeWhen@0: there is no variable or function self; self is the child, in its readyWhen alone; others read it as in children.page, once it exists`}},
		"a field of self":                               {`children: {a: {readyWhen: self.dat.x == '', template: {` + configMap + `}}}`, []string{`children."a".readyWhen@5: there is no field self.dat; unknown dat`}},
		"no such child to come after":                   {`children: {a: {after: [b], template: {` + configMap + `}}}`, []string{`children."a".after[0]@0: there is no child b; unknown b`}},
		"a label selector":                              {`related: {s: {apiVersion: v1, kind: Secret, labelSelector: "a in"}}` + "\n" + `children: {}`, []string{`related."s".labelSelector@0: is no label selector: parsing "a in": unable to parse requirement: found '' expected: '('; write it as in "app=web,tier in (a, b)"`}},
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

// What no API server takes, and what children cannot be.
func TestMistakesOfObjects(t *testing.T) {
	child := func(template string) string { return `children: {a: {template: {` + template + `}}}` }
	const capitals = `"Web" can never be the name of a ConfigMap: it may have at most 253 characters, small letters, digits, - and ., and begins and ends with a letter or digit; did you mean "web"?`
	for name, tc := range map[string]struct {
		config string
		want   []string
	}{
		"a name with capitals":          {child(`apiVersion: v1, kind: ConfigMap, metadata: {name: Web}`), []string{`children."a".template."metadata"."name"@0: ` + capitals}},
		"a name with capitals, raw":     {`children: {a: {raw: true, template: {apiVersion: v1, kind: ConfigMap, metadata: {name: Web}, data: {x: "${y"}}}}`, []string{`children."a".template."metadata"."name"@0: ` + capitals}},
		"a name that may be right":      {child(`apiVersion: v1, kind: ConfigMap, metadata: {name: "a.${object.metadata.name}-b"}`), nil},
		"a role of any name":            {child(`apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: "A:${object.metadata.name}"}`), nil},
		"a namespace with a dot":        {child(`apiVersion: v1, kind: Namespace, metadata: {name: "a.${object.metadata.name}"}`), []string{`children."a".template."metadata"."name"@0: "a.${object.metadata.name}" can never be the name of a Namespace: it may have at most 63 characters, small letters, digits and -, and begins and ends with a letter or digit; what stands around the expressions has to be right by itself`}},
		"no name":                       {child(`apiVersion: v1, kind: ConfigMap`), []string{`children."a".template@0: has no metadata.name; add one, as in name: "${object.metadata.name}"`}},
		"a name that is never the same": {child(`apiVersion: v1, kind: ConfigMap, metadata: {generateName: a-}`), []string{`children."a".template.metadata.generateName@0: makes a name that is another one each time, and a child is found again by its name; write name`}},
		"a key of a label":              {child(`apiVersion: v1, kind: ConfigMap, metadata: {name: m, labels: {"a b": c}}`), []string{`children."a".template."metadata"."labels"."a b"@0: "a b" can never be the key of a label or annotation; write it as in "example.com/name" or "name", with letters, digits, -, _ and .`}},
		"the value of a label":          {child(`apiVersion: v1, kind: ConfigMap, metadata: {name: m, labels: {a: "b c ${object.metadata.name}"}}`), []string{`children."a".template."metadata"."labels"."a"@0: "b c ${object.metadata.name}" can never be the value of a label: it may have at most 63 characters, letters, digits, -, _ and ., and begins and ends with a letter or digit; write it into an annotation`}},
		"a key of the data":             {child(`apiVersion: v1, kind: ConfigMap, metadata: {name: m}, data: {"a b": c}`), []string{`children."a".template."data"."a b"@0: "a b" can never be a key in the data of a ConfigMap; keys have letters, digits, -, _ and .`}},
		"an expression without braces":  {child(`apiVersion: v1, kind: ConfigMap, metadata: {name: object.metadata.name}, data: {x: object.spec.x}`), []string{`children."a".template."metadata"."name"@0: "object.metadata.name" is a text and no expression; write "${object.metadata.name}"`}},
		"the wrong apiVersion":          {child(`apiVersion: v1, kind: Deployment, metadata: {name: m}`), []string{`children."a".template.kind@0: Kubernetes has no kind Deployment of v1; did you mean apiVersion "apps/v1"?`}},
		"a plural for a kind":           {child(`apiVersion: apps/v1, kind: deployments, metadata: {name: m}`), []string{`children."a".template.kind@0: apps/v1 has no kind deployments; did you mean "Deployment"?`}},
		"a list":                        {child(`apiVersion: v1, kind: ConfigMapList, metadata: {name: m}`), []string{`children."a".template.kind@0: ConfigMapList is a list of objects, and a child is one object; write one child for each object, or one with forEach`}},
		"a question":                    {child(`apiVersion: authorization.k8s.io/v1, kind: SubjectAccessReview, metadata: {name: m}`), []string{`children."a".template.kind@0: a SubjectAccessReview cannot be a child: the API server keeps no such objects that could be changed`}},
		"a binding of a Pod":            {child(`apiVersion: v1, kind: Binding, metadata: {name: m}`), []string{`children."a".template.kind@0: a Binding cannot be a child: the API server keeps no such objects that could be changed`}},
		"a part of an object":           {child(`apiVersion: autoscaling/v1, kind: Scale, metadata: {name: m}`), []string{`children."a".template.kind@0: a Scale is a part of another object, and cannot be a child`}},
		"a namespace that cannot be":    {child(`apiVersion: v1, kind: Namespace, metadata: {name: m, namespace: x}`), []string{`children."a".template.metadata.namespace@0: is there, but a Namespace belongs to no namespace; leave it out`}},
		"one object twice":              {`children: {a: {template: {apiVersion: v1, kind: Secret, metadata: {name: m}}}, b: {template: {apiVersion: v1, kind: Secret, metadata: {name: m}}}, c: {includeWhen: "true", template: {apiVersion: v1, kind: Secret, metadata: {name: m}}}}`, []string{`children."b".template.metadata.name@0: is that of the child a as well, and both are a Secret: they would be one object; give it another name`}},
		"a name of an unknown API":      {child(`apiVersion: image.openshift.io/v1, kind: ImageStreamTag, metadata: {name: "a/b:latest"}`), []string{`children."a".template."metadata"."name"@0: "a/b:latest" can never be the name of a ImageStreamTag: it may have at most 253 characters, anything but / and %`}},
		"objects without a key":         {`related: {ns: {apiVersion: v1, kind: Namespace}}` + "\n" + `children: {a: {forEach: related.ns, template: {apiVersion: v1, kind: Secret, metadata: {name: "${item.metadata.name}"}}}}`, []string{`children."a".forEach@0: each entry is an object: its child has to be known by something that stays when the list changes; add key, as in key: "item.metadata.name"`}},
		"braces around a condition":     {`children: {a: {includeWhen: "${true}", template: {apiVersion: v1, kind: Secret, metadata: {name: m}}}}`, []string{`children."a".includeWhen@0: an expression stands here without ${ and }; write true`}},
		"an unsigned number":            {child(`apiVersion: apps/v1, kind: Deployment, metadata: {name: m}, spec: {replicas: "${1u}"}`), []string{`children."a".template."spec"."replicas"@2: 1u is an unsigned number, which is no JSON`}},
		"a duration":                    {child(`apiVersion: apps/v1, kind: Deployment, metadata: {name: m}, spec: {minReadySeconds: "${duration('1m')}"}`), []string{`children."a".template."spec"."minReadySeconds"@10: duration("1m") is a duration, which is no JSON; write string(duration("1m"))`}},
		"a variable of a shell":         {child(`apiVersion: v1, kind: ConfigMap, metadata: {name: m}, data: {x: "cd ${DIR:-/}"}`), []string{`children."a".template."data"."x"@8: not a CEL expression: unexpected ':'; if it is not for kooperd but for a shell: write $${DIR:-/}, or raw: true beside the template`}},
	} {
		t.Run(name, func(t *testing.T) {
			have := problemsOf(t, tc.config, schema.GroupVersionKind{Group: "demo.kooperd.dev", Version: "v1", Kind: "Website"})
			if diff := cmp.Diff(tc.want, have); diff != "" {
				t.Errorf("(-want +have):\n%s", diff)
			}
		})
	}
}

// A parent without a namespace does not give its children one.
func TestMistakesOfScope(t *testing.T) {
	namespace := schema.GroupVersionKind{Version: "v1", Kind: "Namespace"}
	for config, want := range map[string][]string{
		`children: {a: {template: {apiVersion: v1, kind: Secret, metadata: {name: m}}}}`:                                       {`children."a".template.metadata@0: has no namespace: a Secret is in one, and the Namespace that it is made for is in none; add namespace`},
		`children: {a: {template: {apiVersion: v1, kind: Secret, metadata: {name: m, namespace: "${object.metadata.name}"}}}}`: nil,
		`related: {x: {apiVersion: v1, kind: Secret, sameNamespace: true}}` + "\n" + `children: {}`:                            {`related."x".sameNamespace@0: is true, but a Namespace belongs to no namespace; write namespace, or leave it out`},
		`related: {x: {apiVersion: v1, kind: Node, namespace: x}}` + "\n" + `children: {}`:                                     {`related."x".namespace@0: is there, but a Node belongs to no namespace; leave it out`},
	} {
		t.Run(config, func(t *testing.T) {
			if diff := cmp.Diff(want, problemsOf(t, config, namespace)); diff != "" {
				t.Errorf("(-want +have):\n%s", diff)
			}
		})
	}
}

// Values of Secrets are for Secrets, and for what does not show them.
func TestMistakesWithSecrets(t *testing.T) {
	const all = `related: {s: {apiVersion: v1, kind: Secret, name: s, sameNamespace: true}, all: {apiVersion: v1, kind: Secret}}` + "\n" +
		`children: {t: {template: {apiVersion: v1, kind: Secret, metadata: {name: t}, data: "${related.s.data}"}}, m: {template: {apiVersion: v1, kind: ConfigMap, metadata: {name: m, annotations: {x: "${%s}"}}}}}` + "\n" +
		`status: {x: "${%s}"}` + "\n" + `conditions: {C: {when: "(%s) == 'x'", message: "is ${%s}"}}`
	const data = `is the value of a Secret: more people can read %s; say where it is, as in related.s.metadata.name, or whether it is there, as in has(related.s.data.x)`
	for text, want := range map[string]string{
		`related.s.data.x`:                                                       "related.s.data.x " + data,
		`related.s.data['x']`:                                                    strings.Replace("related.s.data.x "+data, "has(related.s.data.x)", `"x" in related.s.data`, 1),
		`'a' + related.s.data.x`:                                                 "related.s.data.x " + data,
		`has(related.s.data.x) ? related.s.data.x : 'none'`:                      "related.s.data.x " + data,
		`children.t.data.x`:                                                      "children.t.data.x is the value of a Secret: more people can read %s; say where it is, as in children.t.metadata.name, or whether it is there, as in has(children.t.data.x)",
		`related.all.map(s, s.data.x).join(',')`:                                 "s.data.x is the value of a Secret: more people can read %s; say where it is, as in s.metadata.name, or whether it is there, as in has(s.data.x)",
		`related.all[0].data.x`:                                                  "related.all[0].data.x is the value of a Secret: more people can read %s; say where it is, as in related.all[0].metadata.name, or whether it is there, as in has(related.all[0].data.x)",
		`related.?s.data.x.orValue('')`:                                          `related.s.data.x is the value of a Secret: more people can read %s; say where it is, as in related.?s.metadata.name, or whether it is there, as in has(related.?s.data.x)`,
		`cel.bind(d, related.s.data, d.x)`:                                       "d.x is the value of a Secret: more people can read %s; name the Secret and its key instead",
		`cel.bind(d, related.s.data.x, d)`:                                       "related.s.data.x " + data,
		`cel.bind(d, related.s.data.x, d == 'a' ? 'yes' : 'no')`:                 "",
		`cel.bind(s, related.s, s.metadata.name)`:                                "",
		`related.s.data.transformList(k, v, v).join(',')`:                        strings.Replace("related.s.data "+data, "data.x)", "data)", 1),
		`related.all.sortBy(s, s.metadata.name)[0].data.x`:                       strings.ReplaceAll("related.s.data.x "+data, "related.s", "related.all.sortBy(s, s.metadata.name)[0]"),
		`json.encode(related.s)`:                                                 "related.s is a Secret with its values: more people can read %s; take what may be read of it, as in related.s.metadata.name",
		`string(base64.decode(related.s.data.x))`:                                "related.s.data.x " + data,
		`related.s.data.map(k, related.s.data[k]).join(',')`:                     `related.s.data is the value of a Secret: more people can read %s; say where it is, as in related.s.metadata.name, or whether it is there, as in has(related.s.data)`,
		`related.s.metadata.name`:                                                "",
		`string(has(related.s.data.x))`:                                          "",
		`string(size(related.s.data))`:                                           "",
		`related.s.data.x == 'x' ? 'yes' : 'no'`:                                 "",
		`string(related.all.exists(s, s.data.x == 'x'))`:                         "",
		`related.all.filter(s, has(s.data.x)).map(s, s.metadata.name).join(',')`: "",
		`related.s.type`:                                                         "",
	} {
		t.Run(text, func(t *testing.T) {
			config := strings.ReplaceAll(all, "%s", text)
			var have []string
			for _, line := range problemsOf(t, config, schema.GroupVersionKind{Group: "demo.kooperd.dev", Version: "v1", Kind: "Website"}) {
				_, message, _ := strings.Cut(line, ": ")
				have = append(have, message)
			}
			var wanted []string
			if want != "" {
				for _, place := range []string{"metadata.annotations.x", "the status", "conditions.C.message"} {
					wanted = append(wanted, fmt.Sprintf(want, place))
				}
				wanted[0] = fmt.Sprintf(want, "metadata.annotations")
			}
			if diff := cmp.Diff(wanted, have); diff != "" {
				t.Errorf("(-want +have):\n%s", diff)
			}
		})
	}
}

// Metadata that one expression makes has annotations in it.
func TestMistakesWithSecretsInMetadata(t *testing.T) {
	const related = `related: {s: {apiVersion: v1, kind: Secret, name: s, sameNamespace: true}}` + "\n"
	const metadata = `"${{'name': 'a', 'annotations': {'x': related.s.data.x}}}"`
	for template, want := range map[string]string{
		`apiVersion: v1, kind: ConfigMap, metadata: ` + metadata: `children."a".template."metadata"@52: related.s.data.x is the value of a Secret: more people can read metadata`,
		`apiVersion: apps/v1, kind: Deployment, metadata: {name: a}, spec: {template: {metadata: ` + metadata + `}}`: `children."a".template."spec"."template"."metadata"@52: ` +
			`related.s.data.x is the value of a Secret: more people can read spec.template.metadata`,
		`apiVersion: v1, kind: Secret, metadata: {name: a}, data: {metadata: "${related.s.data.x}"}`: "",
	} {
		have := problemsOf(t, related+`children: {a: {template: {`+template+`}}}`, schema.GroupVersionKind{Group: "demo.kooperd.dev", Version: "v1", Kind: "Website"})
		if text := strings.Join(have, "\n"); !strings.HasPrefix(text, want) || want == "" && text != "" {
			t.Errorf("%s:\nhave %s\nwant %s", template, text, want)
		}
	}
}

// What a child is known by stands in an annotation.
func TestMistakesWithSecretsInKeys(t *testing.T) {
	const related = `related: {s: {apiVersion: v1, kind: Secret, name: s, sameNamespace: true}}` + "\n"
	const template = `template: {apiVersion: v1, kind: Secret, metadata: {name: "${item}"}}`
	for config, want := range map[string]string{
		`children: {a: {forEach: "related.s.data.x.split(',')", ` + template + `}}`:            `children."a".forEach@0: the entries are values of a Secret, and each child would be known by one; say with key what an entry is known by`,
		`children: {a: {forEach: "related.s.data.x.split(',')", key: item, ` + template + `}}`: `children."a".key@0: item is the value of a Secret: more people can read the key of a child; name the Secret and its key instead`,
	} {
		have := problemsOf(t, related+config, schema.GroupVersionKind{Group: "demo.kooperd.dev", Version: "v1", Kind: "Website"})
		if diff := cmp.Diff([]string{want}, have); diff != "" {
			t.Errorf("(-want +have):\n%s", diff)
		}
	}
}

const crd = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
spec:
  group: demo.kooperd.dev
  scope: Cluster
  names: {kind: Site, plural: sites}
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
              title: {type: string}
              replicas: {type: integer}
              hosts: {type: array, items: {type: string}}
`

// Custom kinds are checked by their CustomResourceDefinitions, wherever they stand.
func TestMistakesOfCustomKinds(t *testing.T) {
	file := filepath.Join(t.TempDir(), "crd.yaml")
	if err := os.WriteFile(file, []byte(crd), 0o600); err != nil {
		t.Fatal(err)
	}
	custom, err := kinds.ReadCRDs(file)
	if err != nil {
		t.Fatal(err)
	}
	known := handlers.Kinds{
		Watched: schema.GroupVersionKind{Group: "demo.kooperd.dev", Version: "v1", Kind: "Site"}, TypeOf: custom.TypeOf, ScopeOf: custom.ScopeOf,
	}
	const site = `apiVersion: demo.kooperd.dev/v1, kind: Site, metadata: {name: "${object.metadata.name}-b"}`
	for name, tc := range map[string]struct {
		config string
		want   []string
	}{
		"the parent":                 {`children: {a: {template: {` + site + `, spec: {title: "${object.spec.titel}"}}}}`, []string{`children."a".template."spec"."title"@14: there is no field object.spec.titel; unknown titel`}},
		"a template":                 {`children: {a: {template: {` + site + `, spec: {titel: x}}}}`, []string{`children."a".template."spec"."titel"@0: there is no field spec.titel; unknown titel`}},
		"a value":                    {`children: {a: {template: {` + site + `, spec: {replicas: "3"}}}}`, []string{`children."a".template."spec"."replicas"@0: spec.replicas is a number, but "3" is a string; write 3 without quotes`}},
		"an expression":              {`children: {a: {template: {` + site + `, spec: {replicas: "${object.spec.title}"}}}}`, []string{`children."a".template."spec"."replicas"@14: spec.replicas is a number, but object.spec.title is a string`}},
		"a list":                     {`children: {a: {template: {` + site + `, spec: {hosts: "${object.spec.title}"}}}}`, []string{`children."a".template."spec"."hosts"@14: spec.hosts is a list, but object.spec.title is a string`}},
		"the child itself":           {`children: {a: {readyWhen: "self.spec.titel == ''", template: {` + site + `}}}`, []string{`children."a".readyWhen@10: there is no field self.spec.titel; unknown titel`}},
		"another child":              {`children: {a: {template: {` + site + `}}, b: {template: {apiVersion: v1, kind: Namespace, metadata: {name: "${children.a.spec.titel}"}}}}`, []string{`children."b".template."metadata"."name"@18: there is no field children.a.spec.titel; unknown titel`}},
		"related":                    {`related: {all: {apiVersion: demo.kooperd.dev/v1, kind: Site}}` + "\n" + `children: {a: {forEach: related.all, key: item.metadata.name, template: {` + site + `, spec: {title: "${item.spec.titel}"}}}}`, []string{`children."a".template."spec"."title"@12: there is no field item.spec.titel; unknown titel`}},
		"a namespace":                {`children: {a: {template: {apiVersion: demo.kooperd.dev/v1, kind: Site, metadata: {name: x, namespace: z}}}}`, []string{`children."a".template.metadata.namespace@0: is there, but a Site belongs to no namespace; leave it out`}},
		"no namespace":               {`children: {a: {template: {apiVersion: v1, kind: Secret, metadata: {name: x}}}}`, []string{`children."a".template.metadata@0: has no namespace: a Secret is in one, and the Site that it is made for is in none; add namespace`}},
		"a status that is not there": {`children: {}` + "\n" + `status: {x: y}`, []string{`status@0: Site has no status in its schema: what is written there would be lost; add it to the CustomResourceDefinition, which has apiVersion, kind, metadata, spec`}},
		"what fits":                  {`children: {a: {forEach: object.spec.hosts, template: {apiVersion: demo.kooperd.dev/v1, kind: Site, metadata: {name: "${item}"}, spec: {title: "${object.spec.title}", replicas: "${object.spec.replicas + 1}", hosts: ["${item}"]}}}}`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, problemsBy(t, tc.config, known)); diff != "" {
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
