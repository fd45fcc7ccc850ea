package apply_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/handlers/apply"
	"kooperd.dev/kooperd/pkg/handlers/handlerstest"
)

const tenant = `
apiVersion: demo.kooperd.dev/v1
kind: Tenant
metadata: {name: shop, namespace: team-a, uid: "1"}
spec: {secretName: credentials, where: platform, tier: gold, empty: "", odd: "Not A Name", number: 3}
`

// related returns the line of a config about related objects of one name.
func relatedConfig(t *testing.T, related string) string {
	t.Helper()
	config, err := yaml.YAMLToJSON([]byte("related: {x: {" + related + "}}\nchildren: {}"))
	if err != nil {
		t.Fatal(err)
	}
	return string(config)
}

// asked is what a composer asks for, one line of JSON for each.
func asked(t *testing.T, related []handlers.Related) []string {
	t.Helper()
	var all []string
	for _, r := range related {
		text, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, string(text))
	}
	return all
}

// What is read for a parent follows from it, and a parent without a value for what selects reads
// nothing rather than everything.
func TestRelate(t *testing.T) {
	const secret = `apiVersion: v1, kind: Secret, `
	for name, tc := range map[string]struct {
		related string
		// known is what follows from the config alone, and asked what is asked for the parent, both
		// without name and kind.
		known, asked string
		err          string
	}{
		"a name":                           {related: secret + `name: "${object.spec.secretName}", sameNamespace: true`, known: `"sameNamespace":true`, asked: `"objectName":"credentials","sameNamespace":true`},
		"a part of a name":                 {related: secret + `name: "${object.metadata.name}-${object.spec.tier}", namespace: infra`, known: `"namespace":"infra"`, asked: `"objectName":"shop-gold","namespace":"infra"`},
		"a name that is made short":        {related: secret + `name: "${name(object.metadata.name, 'tls')}", namespace: infra`, known: `"namespace":"infra"`, asked: `"objectName":"shop-tls","namespace":"infra"`},
		"a namespace":                      {related: secret + `name: ca, namespace: "${object.spec.where}"`, known: `"objectName":"ca"`, asked: `"objectName":"ca","namespace":"platform"`},
		"the namespace of the parent":      {related: secret + `name: "${object.spec.secretName}", namespace: "${object.metadata.namespace}"`, known: `"sameNamespace":true`, asked: `"objectName":"credentials","namespace":"team-a","sameNamespace":true`},
		"a label":                          {related: secret + `labelSelector: "tier=${object.spec.tier}"`, known: `"labelSelector":{"matchExpressions":[{"key":"tier","operator":"Exists"}]}`, asked: `"labelSelector":{"matchLabels":{"tier":"gold"}}`},
		"a label beside others":            {related: secret + `labelSelector: "app=web,tier in (${object.spec.tier}, x-${object.spec.number}-E0E, none),!old,owner!=${object.metadata.name}"`, known: `"labelSelector":{"matchLabels":{"app":"web"},"matchExpressions":[{"key":"old","operator":"DoesNotExist"},{"key":"tier","operator":"Exists"}]}`, asked: `"labelSelector":{"matchLabels":{"app":"web"},"matchExpressions":[{"key":"old","operator":"DoesNotExist"},{"key":"owner","operator":"NotIn","values":["shop"]},{"key":"tier","operator":"In","values":["gold","none","x-3-E0E"]}]}`},
		"another label than":               {related: secret + `labelSelector: "owner!=${object.metadata.name}"`, known: ``, asked: `"labelSelector":{"matchExpressions":[{"key":"owner","operator":"NotIn","values":["shop"]}]}`},
		"an empty label":                   {related: secret + `labelSelector: "tier=${object.spec.empty}"`, known: `"labelSelector":{"matchExpressions":[{"key":"tier","operator":"Exists"}]}`, asked: `"labelSelector":{"matchLabels":{"tier":""}}`},
		"no name":                          {related: secret + `name: "${object.spec.?none}", sameNamespace: true`, known: `"sameNamespace":true`, asked: "nothing"},
		"no part of a name":                {related: secret + `name: "${object.metadata.name}-${object.spec.?none}", sameNamespace: true`, known: `"sameNamespace":true`, asked: "nothing"},
		"an empty name":                    {related: secret + `name: "${object.spec.empty}", sameNamespace: true`, known: `"sameNamespace":true`, asked: "nothing"},
		"no namespace":                     {related: secret + `namespace: "${object.spec.?none}"`, known: ``, asked: "nothing"},
		"an empty namespace":               {related: secret + `namespace: "${object.spec.empty}"`, known: ``, asked: "nothing"},
		"no label":                         {related: secret + `labelSelector: "tier=${object.spec.?none}"`, known: `"labelSelector":{"matchExpressions":[{"key":"tier","operator":"Exists"}]}`, asked: "nothing"},
		"a field that is not there":        {related: secret + `name: "${object.spec.none}", sameNamespace: true`, known: `"sameNamespace":true`, err: `related."x".name: related x: evaluating name: object.spec.none at 1:12: no such key: none`},
		"a name that cannot be":            {related: secret + `name: "${object.spec.odd}", sameNamespace: true`, known: `"sameNamespace":true`, err: `related."x".name: related x: evaluating name: "Not A Name" can never be right: it may have at most 253 characters, small letters, digits, - and ., and begins and ends with a letter or digit`},
		"a name that is none":              {related: secret + `name: "${object.spec.number}", sameNamespace: true`, known: `"sameNamespace":true`, asked: `"objectName":"3","sameNamespace":true`},
		"a namespace that cannot be":       {related: secret + `namespace: "a-${object.spec.odd}"`, err: `related."x".namespace: related x: evaluating namespace: "a-Not A Name" can never be right: it may have at most 63 characters, small letters, digits and -, and begins and ends with a letter or digit`},
		"more than the value of a label":   {related: secret + `labelSelector: "tier=${object.spec.odd + ',x'}"`, known: `"labelSelector":{"matchExpressions":[{"key":"tier","operator":"Exists"}]}`, err: `related."x".labelSelector: related x: evaluating labelSelector: "Not A Name,x" can never be right: no label has such a value: `},
		"the name of an API that may rule": {related: `apiVersion: other.example.com/v1, kind: T, name: "${object.spec.odd}", sameNamespace: true`, known: `"sameNamespace":true`, asked: `"objectName":"Not A Name","sameNamespace":true`},
	} {
		t.Run(name, func(t *testing.T) {
			config := relatedConfig(t, tc.related)
			whole := func(rest string) []string {
				kind := `"apiVersion":"v1","kind":"Secret"`
				if strings.Contains(tc.related, "other.example.com") {
					kind = `"apiVersion":"other.example.com/v1","kind":"T"`
				}
				return []string{strings.TrimSuffix(`{"name":"x",`+kind+`,`+rest, ",") + "}"}
			}
			bound := handlerstest.Bind(t, apply.Plugin, config)
			if diff := cmp.Diff(whole(tc.known), asked(t, bound.Reads())); diff != "" && !strings.Contains(name, "cannot be") {
				t.Errorf("known without a parent (-want +have):\n%s", diff)
			}
			relater, ok := handlerstest.NewComposer(t, apply.Plugin, config).(handlers.Relater)
			if !ok {
				t.Fatal("the composer is no Relater")
			}
			have, err := relater.Relate(t.Context(), handlerstest.Object(t, objectOf(t, tenant)))
			if err != nil || tc.err != "" {
				checkRelateError(t, err, tc.err)
				return
			}
			want := whole(tc.asked)
			if tc.asked == "nothing" {
				want = nil
			}
			if diff := cmp.Diff(want, asked(t, have)); diff != "" {
				t.Errorf("asked for (-want +have):\n%s", diff)
			}
		})
	}
}

// checkRelateError compares the path and the beginning of an error that stays.
func checkRelateError(t *testing.T, err error, want string) {
	t.Helper()
	at, ok := errors.AsType[*handlers.ConfigError](err)
	if !ok || want == "" || !strings.HasPrefix(at.Path+": "+err.Error(), want) {
		t.Errorf("have %v\nwant %s", err, want)
	}
	if !handlers.IsTerminal(err) {
		t.Errorf("%v is tried again", err)
	}
}

// Without expressions, what is read is the same for all parents.
func TestNoRelater(t *testing.T) {
	config := relatedConfig(t, `apiVersion: v1, kind: Secret, name: x, namespace: a, labelSelector: "a in (b)"`)
	if _, ok := handlerstest.NewComposer(t, apply.Plugin, config).(handlers.Relater); ok {
		t.Error("the composer is a Relater")
	}
}

// What is waited for is named, and what the parent names.
func TestWaitsForNamedRelated(t *testing.T) {
	const child = `children: {c: {template: {apiVersion: e.com/v1, kind: T, metadata: {name: m}, x: "${related.s.data.x}"}}}`
	for name, want := range map[string]string{
		`"${object.spec.secretName}", namespace: infra`:    "related s (Secret infra/credentials)",
		`"${object.spec.secretName}", sameNamespace: true`: "related s (Secret credentials)",
		`"${object.spec.?none}", sameNamespace: true`:      "related s (the object names none)",
		`credentials, sameNamespace: true`:                 "related s",
	} {
		c := composed{config: "related: {s: {apiVersion: v1, kind: Secret, name: " + name + "}}\n" + child, parent: tenant}
		composition, err := c.ask(t)
		if err != nil || len(composition.Pending) != 1 || composition.Pending[0].On != want {
			t.Errorf("with name %s it waits for %v, %v, want %s", name, composition.Pending, err, want)
		}
	}
}

func TestMistakesOfRelated(t *testing.T) {
	const secret = `apiVersion: v1, kind: Secret, sameNamespace: true, `
	for related, want := range map[string][]string{
		secret + `name: "${object.metadata.nam}"`:                                                           {`related."x".name@18: there is no field object.metadata.nam; unknown nam`},
		secret + `name: "${object.metadata.labels}"`:                                                        {`related."x".name@18: name is a string, but object.metadata.labels is a map`},
		secret + `name: "${object.metadata.generation}"`:                                                    {`related."x".name@18: name is a string, but object.metadata.generation is a number`},
		secret + `name: "${related.x.metadata.name}"`:                                                       {`related."x".name@2: related cannot be read here; what is read besides follows from the object alone`},
		secret + `name: "a-${children.a.metadata.name}"`:                                                    {`related."x".name@4: children cannot be read here; what is read besides follows from the object alone`},
		secret + `name: "${generate.hex(4)}"`:                                                               {`related."x".name@2: makes another value each time, and this is evaluated again and again; generate it in the template of a child with update: "createOnly", and read that child elsewhere`},
		secret + `name: "${object.metadata.name"`:                                                           {`related."x".name@0: the expression after ${ is not closed; close it with }, or write $${ for a ${ that is no expression`},
		secret + `name: object.spec.secretName`:                                                             {`related."x".name@0: "object.spec.secretName" is a text and no expression; write "${object.spec.secretName}"`},
		secret + `name: "My_${object.metadata.name}"`:                                                       {`related."x".name@0: "My_${object.metadata.name}" can never be the name of a Secret: it may have at most 253 characters, small letters, digits, - and ., and begins and ends with a letter or digit; what stands around the expressions has to be right by itself`},
		secret + `name: Mine`:                                                                               {`related."x".name@0: "Mine" can never be the name of a Secret: it may have at most 253 characters, small letters, digits, - and ., and begins and ends with a letter or digit; did you mean "mine"?`},
		secret + `labelSelector: "a=${object.metadata.nam}"`:                                                {`related."x".labelSelector@20: there is no field object.metadata.nam; unknown nam`},
		secret + `labelSelector: "a=${object.metadata}"`:                                                    {`related."x".labelSelector@11: object.metadata is an object, which cannot stand within a text`},
		secret + `labelSelector: "${object.metadata.name}=a"`:                                               {`related."x".labelSelector@2: an expression stands for something else than the value of a label; write it as in "app=${object.metadata.name}": the rest of the selector is known without an object`},
		secret + `labelSelector: "${object.spec.selector}"`:                                                 {`related."x".labelSelector@2: an expression stands for something else than the value of a label; write it as in "app=${object.metadata.name}": the rest of the selector is known without an object`},
		secret + `labelSelector: "a in ${object.spec.l}"`:                                                   {`related."x".labelSelector@0: is no label selector: parsing "a in ${object.spec.l}": unable to parse requirement: found '${object.spec.l}' expected: '('; write it as in "app=web,tier in (a, b)"`},
		`apiVersion: v1, kind: Secret, name: "${object.metadata.name}"`:                                     {`related."x".name@0: may be that of several objects, each in a namespace; add namespace, or sameNamespace: true for the one beside the parent`},
		`apiVersion: v1, kind: Node, name: "${object.metadata.name}", namespace: "${object.metadata.name}"`: {`related."x".namespace@0: is there, but a Node belongs to no namespace; leave it out`},
		`apiVersion: v1, kind: Secret, namespace: "a.${object.metadata.name}"`:                              {`related."x".namespace@0: "a.${object.metadata.name}" can never be the name of a namespace: it may have at most 63 characters, small letters, digits and -, and begins and ends with a letter or digit; what stands around the expressions has to be right by itself`},
		`apiVersion: v1, kind: Secret, namespace: "${object.metadata.name}", labelSelector: "a in (${object.metadata.uid}, c),d"`: nil,
	} {
		t.Run(related, func(t *testing.T) {
			have := problemsOf(t, "related: {x: {"+related+"}}\nchildren: {}", schema.GroupVersionKind{Group: "demo.kooperd.dev", Version: "v1", Kind: "Tenant"})
			if diff := cmp.Diff(want, have); diff != "" {
				t.Errorf("(-want +have):\n%s", diff)
			}
		})
	}
}

// A name is no place for what only few people may read, and a parent without a namespace has none
// to look in.
func TestMistakesOfRelatedByParent(t *testing.T) {
	for _, tc := range []struct {
		watched schema.GroupVersionKind
		related string
		want    string
	}{
		{
			schema.GroupVersionKind{Version: "v1", Kind: "Secret"}, `apiVersion: v1, kind: Secret, sameNamespace: true, name: "${object.data.name}"`,
			`related."x".name@14: object.data.name is the value of a Secret: more people can read the name of a related object; say where it is, as in object.metadata.name, or whether it is there, as in has(object.data.name)`,
		},
		{
			schema.GroupVersionKind{Version: "v1", Kind: "Namespace"}, `apiVersion: v1, kind: Secret, name: a, namespace: "${object.metadata.namespace}"`,
			`related."x".namespace@0: is that of the parent, but a Namespace belongs to no namespace; write the name of one`,
		},
	} {
		if diff := cmp.Diff([]string{tc.want}, problemsOf(t, "related: {x: {"+tc.related+"}}\nchildren: {}", tc.watched)); diff != "" {
			t.Errorf("(-want +have):\n%s", diff)
		}
	}
}
