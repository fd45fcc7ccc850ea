package apply_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/handlers/apply"
	"kooperd.dev/kooperd/pkg/handlers/handlerstest"
)

// objectOf makes an object of YAML.
func objectOf(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	o := &unstructured.Unstructured{}
	raw, err := yaml.YAMLToJSON([]byte(text))
	if err == nil {
		err = o.UnmarshalJSON(raw)
	}
	if err != nil {
		t.Fatal(err)
	}
	return o
}

const site = `
apiVersion: demo.kooperd.dev/v1
kind: Website
metadata: {name: home, namespace: web, uid: "1"}
spec: {html: "<p>", replicas: 3, aliases: [a.org, b.org], labels: {tier: front}}
`

// composed asks the composer of a config in YAML about a parent, children by name, and related
// objects, and returns the answer as lines.
type composed struct {
	config, parent string
	children       map[string]string
	related        map[string][]string
}

func (c composed) ask(t *testing.T) (handlers.Composition, error) {
	t.Helper()
	config, err := yaml.YAMLToJSON([]byte(c.config))
	if err != nil {
		t.Fatal(err)
	}
	composer := handlerstest.NewComposer(t, apply.Plugin, string(config))
	if c.parent == "" {
		c.parent = site
	}
	var children []any
	for name, text := range c.children {
		children = append(children, handlers.ObservedChild{Name: name, Object: handlerstest.Object(t, objectOf(t, text))})
	}
	related := map[string][]handlers.Object{}
	for name, texts := range c.related {
		for _, text := range texts {
			related[name] = append(related[name], handlerstest.Object(t, objectOf(t, text)))
		}
	}
	return composer.Compose(t.Context(), handlers.ComposeRequest{
		Object: handlerstest.Object(t, objectOf(t, c.parent)), Children: handlerstest.Observed(t, children...), Related: related,
	})
}

// lines says what a composition has.
func lines(t *testing.T, c handlers.Composition, err error) []string {
	t.Helper()
	if err != nil {
		return []string{"error: " + err.Error()}
	}
	var all []string
	for _, child := range c.Children {
		text, err := json.Marshal(child.Object)
		if err != nil {
			t.Fatal(err)
		}
		line := child.Name + " " + strings.TrimSpace(string(text))
		if len(child.After) > 0 {
			line += " after " + strings.Join(child.After, ",")
		}
		all = append(all, line)
	}
	for _, patch := range c.Patches {
		text, err := json.Marshal(patch.Object)
		if err != nil {
			t.Fatal(err)
		}
		line := "patch " + patch.Name + " " + strings.TrimSpace(string(text))
		if len(patch.After) > 0 {
			line += " after " + strings.Join(patch.After, ",")
		}
		all = append(all, line)
	}
	for _, p := range c.Pending {
		all = append(all, "pending: "+p.Error())
	}
	for _, p := range c.Problems {
		all = append(all, "problem: "+p)
	}
	if c.Status != nil {
		text, err := json.Marshal(c.Status)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, "status "+string(text))
	}
	return all
}

func TestCompose(t *testing.T) {
	const thing = `apiVersion: e.com/v1, kind: T, metadata: {name: m}`
	for name, tc := range map[string]struct {
		composed
		want []string
	}{
		"values keep their types": {
			composed{config: `children: {c: {template: {` + thing + `, spec: "${object.spec.replicas}", l: "${object.spec.aliases}", m: "${object.spec.labels}", "n": "${null}", b: "${object.spec.replicas > 2}"}}}`,
				parent: site},
			[]string{`c {"apiVersion":"e.com/v1","b":true,"kind":"T","l":["a.org","b.org"],"m":{"tier":"front"},"metadata":{"name":"m"},"n":null,"spec":3}`},
		},
		"within a text": {
			composed{config: `children: {c: {template: {` + thing + `, data: {a: "${object.metadata.name}-${object.spec.replicas + 1}-$${x}"}}}}`},
			[]string{`c {"apiVersion":"e.com/v1","data":{"a":"home-4-${x}"},"kind":"T","metadata":{"name":"m"}}`},
		},
		"no value": {
			composed{config: `children: {c: {template: {` + thing + `, data: {a: "${object.spec.?color}", b: "${optional.none()}", c: "x"}, l: ["${object.?x}", "1"]}}}`},
			[]string{`c {"apiVersion":"e.com/v1","data":{"c":"x"},"kind":"T","l":["1"],"metadata":{"name":"m"}}`},
		},
		"raw": {
			composed{config: `children: {c: {raw: true, template: {` + thing + `, data: {a: "${HOME} $${x}"}}}}`},
			[]string{`c {"apiVersion":"e.com/v1","data":{"a":"${HOME} $${x}"},"kind":"T","metadata":{"name":"m"}}`},
		},
		"for each": {
			composed{config: `children: {c: {forEach: object.spec.aliases, as: host, includeWhen: "host != 'a.org'", template: {apiVersion: e.com/v1, kind: T, metadata: {name: "${name(object.metadata.name, host)}"}}}}`},
			[]string{`c/b.org {"apiVersion":"e.com/v1","kind":"T","metadata":{"name":"home-b.org"}}`},
		},
		"for each object, by its key": {
			composed{config: `
related: {teams: {apiVersion: v1, kind: Namespace}}
children: {c: {forEach: related.teams, as: ns, key: ns.metadata.name, template: {apiVersion: e.com/v1, kind: T, metadata: {name: m, namespace: "${ns.metadata.name}"}}}}`,
				related: map[string][]string{"teams": {`{apiVersion: v1, kind: Namespace, metadata: {name: x}}`, `{apiVersion: v1, kind: Namespace, metadata: {name: z}}`}}},
			[]string{`c/x {"apiVersion":"e.com/v1","kind":"T","metadata":{"name":"m","namespace":"x"}}`, `c/z {"apiVersion":"e.com/v1","kind":"T","metadata":{"name":"m","namespace":"z"}}`},
		},
		"two entries with one key": {
			composed{config: `children: {c: {forEach: "[1, 1]", key: "string(item)", template: {` + thing + `}}}`},
			[]string{`error: child c: two entries of forEach have the key "1"`},
		},
		"an entry without a key": {
			composed{config: `children: {c: {forEach: "[1]", template: {` + thing + `}}}`},
			[]string{`error: child c: entry 0: the entry of forEach is a number: say with key what it is known by`},
		},
		"not included": {
			composed{config: `children: {a: {includeWhen: "object.spec.replicas > 5", template: {` + thing + `}}, b: {template: {` + thing + `, x: "${children.a.metadata.uid}"}}, c: {template: {` + thing + `, x: "${children.?a.metadata.uid.orValue('none')}"}}}`},
			[]string{`c {"apiVersion":"e.com/v1","kind":"T","metadata":{"name":"m"},"x":"none"}`},
		},
		"what another child does not have yet": {
			composed{config: `children: {b: {template: {` + thing + `}}, a: {template: {` + thing + `, x: "${children.b.status.ip}"}}}`},
			[]string{`b {"apiVersion":"e.com/v1","kind":"T","metadata":{"name":"m"}}`, `pending: child a is waiting for child b: evaluating x: children.b.status.ip at 1:18: no such key: b`},
		},
		"what another child has": {
			composed{config: `children: {b: {template: {` + thing + `}}, a: {template: {` + thing + `, x: "${children.b.status.ip}"}}}`,
				children: map[string]string{"b": `{apiVersion: e.com/v1, kind: T, metadata: {name: m, namespace: web, uid: "2"}, status: {ip: 10.0.0.1}}`}},
			[]string{`b {"apiVersion":"e.com/v1","kind":"T","metadata":{"name":"m"}}`, `a {"apiVersion":"e.com/v1","kind":"T","metadata":{"name":"m"},"x":"10.0.0.1"} after b`},
		},
		"a related object that is not there": {
			composed{config: `
related: {token: {apiVersion: v1, kind: Secret, name: token, sameNamespace: true}}
children: {a: {template: {` + thing + `, x: "${related.token.data.x}"}}}`},
			[]string{`pending: child a is waiting for related token: evaluating x: related.token.data.x at 1:19: no such key: token`},
		},
		"what is absent for a moment is no reason to leave a child out": {
			composed{config: `
related: {cfg: {apiVersion: v1, kind: ConfigMap, name: cfg, sameNamespace: true}}
children: {cache: {includeWhen: "false", template: {` + thing + `}}, web: {template: {` + thing + `, x: "${[string(children.?cache.?metadata.?name.orValue('')), string(related.cfg.data.url)]}"}}}`},
			[]string{`pending: child web is waiting for related cfg: evaluating x: related.cfg.data.url at 1:78: no such key: cfg`},
		},
		"a typo beside a child that is left out": {
			composed{config: `children: {cache: {includeWhen: "false", template: {` + thing + `}}, web: {template: {` + thing + `, x: "${[children.?cache.hasValue(), object.spec.zone == '']}"}}}`},
			[]string{`error: child web: evaluating x: object.spec.zone at 1:41: no such key: zone`},
		},
		"a child for each of those that exist, while one does not": {
			composed{config: `children: {a: {forEach: object.spec.aliases, template: {` + thing + `}}, b: {forEach: children.a, key: item.metadata.name, template: {` + thing + `}}}`,
				children: map[string]string{"a/a.org": `{apiVersion: e.com/v1, kind: T, metadata: {name: m, namespace: web, uid: "2"}}`}},
			[]string{`a/a.org {"apiVersion":"e.com/v1","kind":"T","metadata":{"name":"m"}}`, `a/b.org {"apiVersion":"e.com/v1","kind":"T","metadata":{"name":"m"}}`,
				"pending: child b is waiting for child a: 1 of 2 exist"},
		},
		"after one that is pending": {
			composed{config: `
related: {cfg: {apiVersion: v1, kind: ConfigMap, name: cfg, sameNamespace: true}}
children: {db: {template: {` + thing + `, x: "${related.cfg.data.x}"}}, app: {after: [db], template: {` + thing + `}}, other: {template: {apiVersion: e.com/v1, kind: T, metadata: {name: o}}}}`},
			[]string{`other {"apiVersion":"e.com/v1","kind":"T","metadata":{"name":"o"}}`,
				`pending: child db is waiting for related cfg: evaluating x: related.cfg.data.x at 1:17: no such key: cfg`,
				`pending: child app is waiting for child db: it is not known yet`},
		},
		"for each of a child that is left out": {
			composed{config: `children: {cache: {includeWhen: "false", template: {` + thing + `}}, rules: {forEach: children.cache.spec.rules, template: {` + thing + `}}, proxy: {template: {` + thing + `, x: "${children.rules.map(r, r.metadata.name)}"}}}`},
			[]string{`proxy {"apiVersion":"e.com/v1","kind":"T","metadata":{"name":"m"},"x":[]}`},
		},
		"too many entries": {
			composed{config: `children: {a: {forEach: object.spec.many, template: {` + thing + `}}}`,
				parent: strings.Replace(site, "replicas: 3", "replicas: 3, many: ["+strings.Repeat("a,", 5001)+"]", 1)},
			[]string{`error: child a: evaluating forEach: the list has 5001 entries, and may have 5000`},
		},
		"a result that is too large": {
			composed{config: `children: {a: {template: {` + thing + `, x: "${[object].map(a, [a,a,a,a,a,a,a,a,a,a]).map(a, [a,a,a,a,a,a,a,a,a,a]).map(a, [a,a,a,a,a,a,a,a,a,a]).map(a, [a,a,a,a,a,a,a,a,a,a]).map(a, [a,a,a,a,a,a,a,a,a,a])}"}}}`},
			[]string{`error: child a: evaluating x: the result is too large: it may have 200000 values and 4 MiB`},
		},
		"two objects of one name": {
			composed{config: `
related: {cfg: {apiVersion: e.com/v1, kind: T, name: cfg}}
children: {}`, related: map[string][]string{"cfg": {`{apiVersion: e.com/v1, kind: T, metadata: {name: cfg, namespace: a}}`, `{apiVersion: e.com/v1, kind: T, metadata: {name: cfg, namespace: b}}`}}},
			[]string{`error: related cfg: there are 2 objects of that name: say in which namespace`},
		},
		"a status that fails in part": {
			composed{config: `
children: {b: {template: {` + thing + `}}}
status: {ratio: "${100 / (object.spec.replicas - 3)}", url: x}
conditions: {Odd: {when: "1 / (object.spec.replicas - 3) > 0"}, Said: {when: "true", reason: "not a word", message: "${object.spec.replicas}"}}`},
			[]string{`b {"apiVersion":"e.com/v1","kind":"T","metadata":{"name":"m"}}`,
				`problem: evaluating status.ratio: / in 100 / (object.spec.replicas - 3) at 1:5: division by zero`,
				`problem: evaluating conditions.Odd.when: / in 1 / (object.spec.replicas - 3) at 1:3: division by zero`,
				`problem: conditions.Said.reason: "not a word" is no word`,
				`status {"conditions":[{"message":"/ in 1 / (object.spec.replicas - 3) at 1:3: division by zero","reason":"NotKnownYet","status":"Unknown","type":"Odd"},{"message":"3","reason":"Said","status":"True","type":"Said"}],"url":"x"}`},
		},
		"a field that the parent does not have": {
			composed{config: `children: {a: {template: {` + thing + `, x: "${object.spec.color}"}}}`},
			[]string{`error: child a: evaluating x: object.spec.color at 1:12: no such key: color`},
		},
		"status": {
			composed{config: `
children: {b: {template: {` + thing + `}}}
status: {url: "http://${object.metadata.name}/", ip: "${children.b.status.ip}", deep: {"n": "${object.spec.replicas}"}}
conditions: {Big: {when: object.spec.replicas > 2, message: "${object.spec.replicas} replicas"}, Reachable: {when: has(children.b.status)}}`},
			[]string{`b {"apiVersion":"e.com/v1","kind":"T","metadata":{"name":"m"}}`,
				`status {"conditions":[{"message":"3 replicas","reason":"Big","status":"True","type":"Big"},{"message":"has(children.b.status) at 1:4: no such key: b","reason":"NotKnownYet","status":"Unknown","type":"Reachable"}],"deep":{"n":3},"url":"http://home/"}`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			composition, err := tc.ask(t)
			if diff := cmp.Diff(tc.want, lines(t, composition, err)); diff != "" {
				t.Errorf("(-want +have):\n%s", diff)
			}
		})
	}
}

func TestReadyWhen(t *testing.T) {
	c := composed{config: `children: {c: {readyWhen: "self.status.?readyReplicas.orValue(0) >= object.spec.replicas", template: {apiVersion: apps/v1, kind: Deployment, metadata: {name: m}}}}`}
	composition, err := c.ask(t)
	if err != nil {
		t.Fatal(err)
	}
	for status, want := range map[string]string{"{readyReplicas: 3}": "true ", "{readyReplicas: 2}": "false readyWhen is not true", "{}": "false readyWhen is not true"} {
		ready, why := composition.Children[0].Policy.Ready(handlerstest.Object(t, objectOf(t,
			`{apiVersion: apps/v1, kind: Deployment, metadata: {name: m}, status: `+status+`}`)))
		if have := fmt.Sprint(ready, " ", why); have != want {
			t.Errorf("with status %s: %q, want %q", status, have, want)
		}
	}
}

func TestLongNames(t *testing.T) {
	long := strings.Repeat("x", 60)
	ask := func(parts string) string {
		c := composed{config: `children: {c: {template: {apiVersion: v1, kind: ConfigMap, metadata: {name: "${name(` + parts + `)}"}}}}`}
		composition, err := c.ask(t)
		if err != nil {
			t.Fatal(err)
		}
		return composition.Children[0].Object.(*unstructured.Unstructured).GetName()
	}
	made := []string{ask(`'` + long + `', 'ab'`), ask(`'` + long + `', 'abc'`), ask(`'` + long + `', 'abd'`), ask(`'` + long + `-a', 'bd'`)}
	if made[0] != long+"-ab" {
		t.Errorf("a name of 63 characters became %s", made[0])
	}
	for _, name := range made {
		if len(name) > 63 {
			t.Errorf("%s has %d characters", name, len(name))
		}
	}
	slices.Sort(made)
	if len(slices.Compact(made)) != 4 {
		t.Errorf("different parts have the same name: %q", made)
	}
}

func TestPlugin(t *testing.T) {
	handlerstest.Check(t, apply.Plugin, handlerstest.Options{
		Configs: map[string]string{
			"nothing": `{"children":{}}`,
			"patches": `{"children":{
				"first":{"template":{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"${object.metadata.name}"}}},
				"each":{"forEach":"object.spec.aliases","after":["first"],"patch":{"apiVersion":"v1","kind":"Secret","metadata":{"name":"${item}","labels":{"a":"${object.metadata.name}"}}}}}}`,
			"one": `{"children":{"c":{"template":{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"${object.metadata.name}"},"data":{"a":"${object.spec.html}"}}}}}`,
			"asks": `{"related":{"mine":{"apiVersion":"v1","kind":"Secret","name":"${object.spec.?html.orValue('x') == 'x' ? 'y' : 'z'}","sameNamespace":true},
				"teams":{"apiVersion":"v1","kind":"Namespace","labelSelector":"team=${object.metadata.name}"}},
				"children":{"c":{"template":{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"${object.metadata.name}"},"data":{"n":"${string(size(related.teams))}"}}}}}`,
			"all": `{"related":{"teams":{"apiVersion":"v1","kind":"Namespace","labelSelector":"team"}},
				"children":{"c":{"forEach":"object.spec.aliases","template":{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"${name(object.metadata.name, item)}"}}},
					"d":{"after":["c"],"includeWhen":"size(related.teams) == 0","template":{"apiVersion":"v1","kind":"Secret","metadata":{"name":"s"}}}},
				"status":{"n":"${size(children.c)}"},"conditions":{"Big":{"when":"object.spec.replicas > 2"}},"deletion":"ordered"}`,
		},
		Objects: []handlers.Object{handlerstest.Object(t, objectOf(t, site))},
	})
}

// A right follows from each template, and of objects of which only the metadata is read, no more is
// kept.
func TestOwns(t *testing.T) {
	config, err := yaml.YAMLToJSON([]byte(`
children:
  a: {template: {apiVersion: v1, kind: ConfigMap, metadata: {name: x}}}
  b: {template: {apiVersion: v1, kind: Secret, metadata: {name: x, namespace: "${object.spec.ns}"}, stringData: {a: "${children.d.data.x}"}}}
  c: {template: {apiVersion: apps/v1, kind: Deployment, metadata: {name: x, namespace: "${object.metadata.namespace}"}}}
  d: {template: {apiVersion: v1, kind: Secret, metadata: {name: z}}}
  e: {template: {apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: reader}}}
  f: {template: {apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: "${object.metadata.name}"}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}}}
  g: {template: {apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: "${object.metadata.name}"}}}
  h: {template: {apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: fixed}}}
`))
	if err != nil {
		t.Fatal(err)
	}
	want := []handlers.OwnedKind{
		{APIVersion: "v1", Kind: "ConfigMap", MetadataOnly: true},
		{APIVersion: "v1", Kind: "Secret", AnyNamespace: true},
		{APIVersion: "apps/v1", Kind: "Deployment"},
		{APIVersion: "rbac.authorization.k8s.io/v1", Kind: "Role", MetadataOnly: true, RoleNames: []string{"reader"}},
		{APIVersion: "rbac.authorization.k8s.io/v1", Kind: "RoleBinding", MetadataOnly: true, Binds: []handlers.RoleRef{{Kind: "Role", Name: "reader"}}},
		{APIVersion: "rbac.authorization.k8s.io/v1", Kind: "ClusterRole", MetadataOnly: true},
	}
	if diff := cmp.Diff(want, handlerstest.Bind(t, apply.Plugin, string(config)).Owns()); diff != "" {
		t.Errorf("owns (-want +have):\n%s", diff)
	}
}

// What fails because the time is over is tried again, unlike what is wrong.
func TestErrorsThatMayPass(t *testing.T) {
	config, err := yaml.YAMLToJSON([]byte(`children: {c: {template: {apiVersion: e.com/v1, kind: T, metadata: {name: "${object.spec.html}-${object.spec.aliases.map(a, a)[0]}"}, x: "${object.spec.none}"}}}`))
	if err != nil {
		t.Fatal(err)
	}
	composer := handlerstest.NewComposer(t, apply.Plugin, string(config))
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for name, ctx := range map[string]context.Context{"ended": ended, "wrong": t.Context()} {
		_, err := composer.Compose(ctx, handlers.ComposeRequest{Object: handlerstest.Object(t, objectOf(t, site))})
		if wrong := name == "wrong"; err == nil || handlers.IsTerminal(err) != wrong {
			t.Errorf("%s: have %v, terminal: %t", name, err, !wrong)
		}
	}
}
