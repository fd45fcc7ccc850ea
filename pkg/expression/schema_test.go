package expression_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"kooperd.dev/kooperd/pkg/expression"
)

var websiteKind = schema.GroupVersionKind{Group: "demo.kooperd.dev", Version: "v1", Kind: "Website"}

const websiteSchema = `{"type": "object", "properties": {
	"metadata": {"type": "object"},
	"spec": {"type": "object", "properties": {
		"title": {"type": "string", "nullable": true},
		"replicas": {"type": "integer", "format": "int32"},
		"ratio": {"type": "number"},
		"public": {"type": "boolean"},
		"since": {"type": "string", "format": "date-time"},
		"port": {"x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}]},
		"hosts": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
		"pages": {"type": "array", "items": {"type": "object", "properties": {"path": {"type": "string"}}}},
		"env": {"type": "object", "additionalProperties": {"type": "string"}},
		"sizes": {"type": "object", "additionalProperties": {"x-kubernetes-int-or-string": true}},
		"values": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
		"anything": {"x-kubernetes-preserve-unknown-fields": true},
		"some": {"type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": {"known": {"type": "integer"}}},
		"empty": {"type": "object"},
		"job": {"type": "object", "x-kubernetes-embedded-resource": true, "x-kubernetes-preserve-unknown-fields": true}
	}}
}}`

func website(t *testing.T) expression.Type {
	t.Helper()
	known, err := expression.OfSchema(websiteKind, []byte(websiteSchema))
	if err != nil {
		t.Fatal(err)
	}
	return known
}

// conditionMistakes returns what is wrong with a condition on objects of a type, a line each.
func conditionMistakes(t *testing.T, text string, known expression.Type) string {
	t.Helper()
	_, err := language(t).ConditionOf(text, websiteKind.Kind, known)
	var wrong expression.Mistakes
	if err != nil && !errors.As(err, &wrong) {
		t.Fatal(err)
	}
	var lines []string
	for _, m := range wrong {
		lines = append(lines, m.Message)
	}
	return strings.Join(lines, "\n")
}

func TestOfSchema(t *testing.T) {
	known := website(t)
	for text, want := range map[string]string{
		`object.spec.title == "a" && object.spec.title != null`:    "",
		`object.spec.titel == "a"`:                                 "Website: there is no field spec.titel",
		`object.spec.replicas == "3"`:                              "Website: spec.replicas is a number and \"3\" is a string: they are never equal",
		`object.spec.replicas > 3`:                                 "",
		`object.spec.ratio > 0.5 && object.spec.ratio == 1`:        "",
		`object.spec.public`:                                       "",
		`timestamp(object.spec.since).getFullYear() > 2000`:        "",
		`object.spec.port == 80 || object.spec.port == "http"`:     "",
		`object.spec.port == true`:                                 "Website: spec.port is a number or a string and true is true or false: they are never equal",
		`object.spec.hosts.exists(h, h == 1)`:                      "h is a string and 1 is a number: they are never equal",
		`object.spec.pages.exists(p, p.pth == "/")`:                "Website: there is no field p.pth",
		`object.spec.pages[0].path == "/"`:                         "",
		`object.spec.env.HOME == "/" && "a" in object.spec.env`:    "",
		`object.spec.env.HOME == 1`:                                "Website: spec.env.HOME is a string and 1 is a number: they are never equal",
		`object.spec.sizes.a == "1Gi" || object.spec.sizes.a == 1`: "",
		`object.spec.values.a.b.c == 1 && object.spec.anything.x`:  "",
		`object.spec.some.other == 1 && object.spec.some.known`:    "Website: want true or false, but spec.some.known is a number",
		`object.spec.empty.x == 1`:                                 "Website: there is no field spec.empty.x",
		`object.spec.job.metadata.nam == "x"`:                      "Website: there is no field spec.job.metadata.nam",
		`object.spec.job.spec.x == "x"`:                            "",
		`object.metadata.nam == ""`:                                "Website: there is no field metadata.nam",
		`object.kind == "Website" && object.metadata.name != ""`:   "",
		`has(object.metadata.managedFields)`:                       "Website: metadata.managedFields is dropped when an object arrives: nothing is ever there",
		`object.status.ready`:                                      "Website: there is no field status",
	} {
		t.Run(text, func(t *testing.T) {
			if diff := cmp.Diff(want, conditionMistakes(t, text, known)); diff != "" {
				t.Errorf("(-want +have):\n%s", diff)
			}
		})
	}
}

// An API server refers to other schemas, which may refer to themselves.
func TestOfOpenAPI(t *testing.T) {
	const document = `{"components": {"schemas": {
		"dev.kooperd.demo.v1.Website": {"type": "object", "x-kubernetes-group-version-kind": [{"group": "demo.kooperd.dev", "version": "v1", "kind": "Website"}],
			"properties": {
				"metadata": {"allOf": [{"$ref": "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"}]},
				"spec": {"allOf": [{"$ref": "#/components/schemas/Spec"}], "default": {}},
				"raw": {"$ref": "#/components/schemas/Raw"}, "lost": {"$ref": "#/components/schemas/Nowhere"},
				"memory": {"$ref": "#/components/schemas/io.k8s.apimachinery.pkg.api.resource.Quantity"}, "endless": {"$ref": "#/components/schemas/Endless"}}},
		"Spec": {"type": "object", "properties": {"replicas": {"type": "integer"}, "inner": {"$ref": "#/components/schemas/Spec"}}},
		"Raw": {"type": "object"},
		"dev.kooperd.demo.v1.Legacy": {"type": "object", "x-kubernetes-group-version-kind": [{"group": "demo.kooperd.dev", "version": "v1", "kind": "Legacy"}]},
		"Endless": {"type": "array", "items": {"$ref": "#/components/schemas/Endless"}},
		"Broken": null,
		"io.k8s.apimachinery.pkg.api.resource.Quantity": {"oneOf": [{"type": "string"}, {"type": "number"}]}
	}}}`
	other := schema.GroupVersionKind{Group: "demo.kooperd.dev", Version: "v1", Kind: "Other"}
	legacy := schema.GroupVersionKind{Group: "demo.kooperd.dev", Version: "v1", Kind: "Legacy"}
	all, err := expression.OfOpenAPI([]byte(document), []schema.GroupVersionKind{websiteKind, other, legacy})
	if err != nil || all[websiteKind] == nil || all[legacy] == nil || len(all) != 2 {
		t.Fatalf("have %v, %v", all, err)
	}
	for text, want := range map[string]string{
		`object.spec.inner.inner.replica == 1`:    "Website: there is no field spec.inner.inner.replica",
		`object.metadata.nam == ""`:               "Website: there is no field metadata.nam",
		`object.raw.x == 1 && object.lost.x == 1`: "",
		`object.memory == 1`:                      "Website: memory is a quantity, which is a string, and 1 is a number: they are never equal",
		`size(object.endless[0][0]) == 1`:         "",
	} {
		t.Run(text, func(t *testing.T) {
			if diff := cmp.Diff(want, conditionMistakes(t, text, all[websiteKind])); diff != "" {
				t.Errorf("(-want +have):\n%s", diff)
			}
		})
	}
	if have := conditionMistakes(t, `object.spec.x == 1 && object.metadata.name != ""`, all[legacy]); have != "" {
		t.Errorf("nothing is said of the fields, but have %q", have)
	}
	for _, broken := range []string{``, `[]`, `{"components": 1}`, `{"components": {"schemas": {"a": {"type": 1}}}}`} {
		if _, err := expression.OfOpenAPI([]byte(broken), []schema.GroupVersionKind{websiteKind}); err == nil {
			t.Errorf("%q is read without an error", broken)
		}
	}
}

// A schema is read once, however deep its maps are in each other: reading what is within them again
// at every level takes longer than a test may.
func TestDeepSchemas(t *testing.T) {
	const depth = 9_000
	deep := strings.Repeat(`{"type": "object", "additionalProperties": `, depth) + `{"type": "string", "pattern": "` + strings.Repeat("x", 16<<20) + `"}` + strings.Repeat("}", depth)
	known, err := expression.OfSchema(websiteKind, []byte(`{"type": "object", "properties": {"spec": `+deep+`}}`))
	if err != nil {
		t.Fatal(err)
	}
	if have := conditionMistakes(t, `object.spec.a.b == "x"`, known); have == "" {
		t.Error("a map is taken for a text")
	}
}
