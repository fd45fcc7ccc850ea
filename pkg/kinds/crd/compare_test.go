package crd_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"kooperd.dev/kooperd/pkg/kinds/crd"
)

// definition returns one with a version v1 whose schema is the YAML of spec.
func definition(t *testing.T, spec string) crd.Definition {
	t.Helper()
	text, err := yaml.YAMLToJSON([]byte("type: object\nproperties:\n  spec: " + strings.ReplaceAll(strings.TrimSpace(spec), "\n", "\n    ")))
	if err != nil {
		t.Fatal(err)
	}
	schema, err := crd.Decode(text)
	if err != nil {
		t.Fatal(err)
	}
	return crd.New(crd.Spec{Group: "example.com", Names: crd.Names{Kind: "Thing"}, Versions: []crd.Version{
		{Name: "v1", Served: true, Storage: true, Schema: crd.Schema{OpenAPIV3Schema: schema}},
	}})
}

func TestCompareSchemas(t *testing.T) {
	tests := map[string]struct {
		before, now string
		want        []string // without the name and the version
	}{
		"nothing":        {"{type: string}", "{type: string, description: more}", nil},
		"field gone":     {"{type: object, properties: {a: {type: string}}}", "{type: object}", []string{"narrower: spec.a: the field is gone"}},
		"field new":      {"{type: object}", "{type: object, properties: {a: {type: string}}}", []string{"wider: spec.a: the field is new"}},
		"type":           {"{type: string}", "{type: integer}", []string{"narrower: spec: is of type integer, was of type string"}},
		"number":         {"{type: integer}", "{type: number}", []string{"wider: spec: is of type number, was of type integer"}},
		"int or string":  {"{type: integer}", "{x-kubernetes-int-or-string: true}", []string{"wider: spec: is of type integer or string, was of type integer"}},
		"integer only":   {"{x-kubernetes-int-or-string: true}", "{type: integer}", []string{"narrower: spec: is of type integer, was of type integer or string"}},
		"anything":       {"{type: string}", "{x-kubernetes-preserve-unknown-fields: true}", []string{"wider: spec: can be anything, was of type string"}},
		"not anything":   {"{x-kubernetes-preserve-unknown-fields: true}", "{type: string}", []string{"narrower: spec: is of type string, could be anything"}},
		"required":       {"{type: object, properties: {a: {type: string}}}", "{type: object, required: [a], properties: {a: {type: string}}}", []string{"narrower: spec.a: is required now"}},
		"has a default":  {"{type: object, properties: {a: {type: string, default: x}}}", "{type: object, required: [a], properties: {a: {type: string, default: x}}}", []string{"other: spec.a: is required now, and has a default"}},
		"optional":       {"{type: object, required: [a], properties: {a: {type: string}}}", "{type: object, properties: {a: {type: string}}}", []string{"wider: spec.a: is not required any more"}},
		"enum":           {"{type: string, enum: [a, b]}", "{type: string, enum: [b, c]}", []string{`narrower: spec: cannot be "a" any more`, `wider: spec: can be "c"`}},
		"enum new":       {"{type: string}", "{type: string, enum: [a]}", []string{`narrower: spec: is one of ["a"], could have other values`}},
		"enum gone":      {"{type: string, enum: [a]}", "{type: string}", []string{`wider: spec: can have other values than ["a"]`}},
		"bounds":         {"{type: integer, minimum: 1, maximum: 10}", "{type: integer, minimum: 2, maximum: 20}", []string{"narrower: spec: minimum is 2, was 1", "wider: spec: maximum is 20, was 10"}},
		"bounds new":     {"{type: integer}", "{type: integer, minimum: 2, maximum: 3}", []string{"narrower: spec: minimum is 2, was none", "narrower: spec: maximum is 3, was none"}},
		"exclusive":      {"{type: integer, minimum: 1}", "{type: integer, minimum: 1, exclusiveMinimum: true}", []string{"narrower: spec: minimum 1 does not count itself any more"}},
		"inclusive":      {"{type: integer, maximum: 1, exclusiveMaximum: true}", "{type: integer, maximum: 1}", []string{"wider: spec: maximum 1 counts itself"}},
		"lengths":        {"{type: string, maxLength: 3}", "{type: string, minLength: 1}", []string{"narrower: spec: minLength is 1, was none", "wider: spec: maxLength is none, was 3"}},
		"no minimum":     {"{type: string, minLength: 0}", "{type: string}", nil},
		"multiple":       {"{type: integer, multipleOf: 4}", "{type: integer, multipleOf: 2}", []string{"wider: spec: is a multiple of 2, was one of 4"}},
		"other multiple": {"{type: integer, multipleOf: 4}", "{type: integer, multipleOf: 6}", []string{"narrower: spec: is a multiple of 6, was one of 4"}},
		"pattern":        {"{type: string}", "{type: string, pattern: a}", []string{`narrower: spec: must match pattern "a"`}},
		"other pattern":  {"{type: string, pattern: a}", "{type: string, pattern: b}", []string{`narrower: spec: pattern is "b", was "a", and may refuse what that took`}},
		"no pattern":     {"{type: string, pattern: a}", "{type: string}", []string{`wider: spec: pattern "a" is gone`}},
		"default":        {"{type: string, default: a}", "{type: string, default: b}", []string{`other: spec: the default is "b", was "a"`}},
		"null":           {"{type: string, nullable: true}", "{type: string}", []string{"narrower: spec: cannot be null any more"}},
		"entries":        {"{type: array, items: {type: object, properties: {a: {type: string}}}}", "{type: array, items: {type: object}}", []string{"narrower: spec[*].a: the field is gone"}},
		"values":         {"{type: object, additionalProperties: {type: string}}", "{type: object, additionalProperties: {type: string, maxLength: 1}}", []string{"narrower: spec[*]: maxLength is 1, was none"}},
		"map to fields":  {"{type: object, additionalProperties: {type: string}}", "{type: object, properties: {a: {type: string}}}", []string{"narrower: spec: fields that the schema does not have are dropped"}},
		"fields to map":  {"{type: object, properties: {a: {type: string}}}", "{type: object, additionalProperties: {type: string}}", []string{"wider: spec: can have any fields, with values of one schema"}},
		"free":           {"{type: object, x-kubernetes-preserve-unknown-fields: true}", "{type: object}", []string{"narrower: spec: fields that the schema does not have are dropped"}},
		"free to map":    {"{type: object, x-kubernetes-preserve-unknown-fields: true}", "{type: object, additionalProperties: {type: string}}", []string{"narrower: spec: the values could be anything, and have a schema now"}},
		"to free":        {"{type: object, properties: {a: {type: string}}}", "{type: object, x-kubernetes-preserve-unknown-fields: true}", []string{"wider: spec.a: can be anything", "wider: spec: can have any fields"}},
		"free to field":  {"{type: object, x-kubernetes-preserve-unknown-fields: true}", "{type: object, x-kubernetes-preserve-unknown-fields: true, properties: {a: {type: string}}}", []string{"narrower: spec.a: could be anything, and has a schema now"}},
		"rules":          {"{type: object, x-kubernetes-validations: [{rule: a}]}", "{type: object, x-kubernetes-validations: [{rule: b}]}", []string{`narrower: spec: the rule "b" is new`, `wider: spec: the rule "a" is gone`}},
		"alternatives":   {"{type: string, anyOf: [{pattern: a}]}", "{type: string, oneOf: [{pattern: a}]}", []string{"wider: spec: anyOf is gone", "narrower: spec: oneOf is new"}},
		"set":            {"{type: array, items: {type: string}}", "{type: array, items: {type: string}, x-kubernetes-list-type: set}", []string{"narrower: spec: the list is merged as set, was as atomic"}},
		"whole object":   {"{type: object}", "{type: object, x-kubernetes-embedded-resource: true}", []string{"narrower: spec: is a whole object now, with apiVersion and kind"}},
		"any object":     {"{type: object, x-kubernetes-embedded-resource: true}", "{type: object}", []string{"wider: spec: need not be a whole object any more"}},
		"both bounded":   {"{x-kubernetes-int-or-string: true}", "{x-kubernetes-int-or-string: true, anyOf: [{type: integer}, {type: string}], allOf: [{pattern: a}]}", []string{"narrower: spec: allOf is new"}},
		"old value":      {"{type: string, x-kubernetes-validations: [{rule: a}]}", "{type: string, x-kubernetes-validations: [{rule: a, optionalOldSelf: true}]}", []string{`narrower: spec: the rule "a" with optionalOldSelf is new`, `wider: spec: the rule "a" is gone`}},
		"enum beside":    {"{type: string}", "{x-kubernetes-preserve-unknown-fields: true, enum: [a]}", []string{"wider: spec: can be anything, was of type string", `narrower: spec: is one of ["a"], could have other values`}},
		"default gone": {
			"{type: object, required: [a], properties: {a: {type: string, default: x}}}",
			"{type: object, required: [a], properties: {a: {type: string}}}",
			[]string{`other: spec.a: the default is none, was "x"`, "narrower: spec.a: is required, and has no default any more"},
		},
		"keys": {
			"{type: array, items: {type: object}, x-kubernetes-list-type: map, x-kubernetes-list-map-keys: [a]}",
			"{type: array, items: {type: object}, x-kubernetes-list-type: map, x-kubernetes-list-map-keys: [b]}",
			[]string{`narrower: spec: the entries are told apart by ["b"], were by ["a"]`},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			var have []string
			for _, change := range crd.Compare([]crd.Definition{definition(t, tc.before)}, []crd.Definition{definition(t, tc.now)}) {
				have = append(have, strings.Replace(change.String(), "things.example.com v1 ", "", 1))
			}
			if diff := cmp.Diff(tc.want, have); diff != "" {
				t.Errorf("changes (-want +have):\n%s", diff)
			}
		})
	}
}

func TestCompareDefinitions(t *testing.T) {
	change := func(edit func(*crd.Definition)) crd.Definition {
		d := definition(t, "{type: string}")
		edit(&d)
		return d
	}
	status := struct{}{}
	tests := map[string]struct {
		before, now crd.Definition
		want        string
	}{
		"scope":      {change(func(*crd.Definition) {}), change(func(d *crd.Definition) { d.Spec.Scope = crd.Cluster }), "narrower: things.example.com: scope is Cluster, was Namespaced: the API server takes it for a new kind only"},
		"kind":       {change(func(*crd.Definition) {}), change(func(d *crd.Definition) { d.Spec.Names.Kind = "Other" }), "narrower: things.example.com: kind is Other, was Thing: the API server takes it for a new kind only"},
		"unserved":   {change(func(*crd.Definition) {}), change(func(d *crd.Definition) { d.Spec.Versions[0].Served = false }), "narrower: things.example.com v1: the version is not served any more"},
		"served":     {change(func(d *crd.Definition) { d.Spec.Versions[0].Served = false }), change(func(*crd.Definition) {}), "wider: things.example.com v1: the version is served"},
		"stored":     {change(func(d *crd.Definition) { d.Spec.Versions[0].Storage = false }), change(func(*crd.Definition) {}), "other: things.example.com v1: objects are stored in this version from now on"},
		"deprecated": {change(func(*crd.Definition) {}), change(func(d *crd.Definition) { d.Spec.Versions[0].Deprecated = true }), "other: things.example.com v1: the version is deprecated"},
		"renamed":    {change(func(*crd.Definition) {}), change(func(d *crd.Definition) { d.Spec.Versions[0].Name = "v2" }), "narrower: things.example.com v1: the version is gone\nwider: things.example.com v2: the version is new"},
		"no status":  {change(func(d *crd.Definition) { d.Spec.Versions[0].Subresources.Status = &status }), change(func(*crd.Definition) {}), "narrower: things.example.com v1: there is no subresource status any more"},
		"status":     {change(func(*crd.Definition) {}), change(func(d *crd.Definition) { d.Spec.Versions[0].Subresources.Status = &status }), "narrower: things.example.com v1: there is a subresource status: what is written to status in another way is dropped"},
		"scale": {change(func(*crd.Definition) {}), change(func(d *crd.Definition) {
			d.Spec.Versions[0].Subresources.Scale = &crd.Scale{SpecReplicasPath: ".spec.a"}
		}), "wider: things.example.com v1: there is a subresource scale"},
		"selectable": {change(func(d *crd.Definition) {
			d.Spec.Versions[0].SelectableFields = []crd.SelectableField{{JSONPath: ".spec"}}
		}), change(func(*crd.Definition) {}), "narrower: things.example.com v1: objects cannot be selected by .spec any more"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, lines(crd.Compare([]crd.Definition{tc.before}, []crd.Definition{tc.now}))); diff != "" {
				t.Errorf("changes (-want +have):\n%s", diff)
			}
		})
	}
	one, other := change(func(*crd.Definition) {}), change(func(d *crd.Definition) { d.Metadata.Name = "others.example.com" })
	want := "narrower: things.example.com: is not declared any more; kubectl apply leaves the CustomResourceDefinition as it is\nwider: others.example.com: is new"
	if diff := cmp.Diff(want, lines(crd.Compare([]crd.Definition{one}, []crd.Definition{other}))); diff != "" {
		t.Errorf("changes (-want +have):\n%s", diff)
	}
}

func lines(changes []crd.Change) string {
	all := make([]string, len(changes))
	for i, change := range changes {
		all[i] = change.String()
	}
	return strings.Join(all, "\n")
}
