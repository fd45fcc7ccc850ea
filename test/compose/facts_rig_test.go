package compose_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

// ours is the field manager whose entry is looked at; other is that of somebody else.
const (
	ours  = "kooperd"
	other = "somebody"
)

// metadataOnly is the media type of an object without anything but its metadata.
const metadataOnly = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"

// The media types of patches.
const (
	applyPatch = "application/apply-patch+yaml"
	mergePatch = "application/merge-patch+json"
	jsonPatch  = "application/json-patch+json"
)

// factKind is a kind that the facts are tried on.
type factKind struct {
	apiVersion, kind, plural string
	// content has a field of type text, for its value, and others that the API server stores in
	// another way than they are written.
	content string
	// field is the path of that field in managedFields.
	field []string
}

var configMapFacts = factKind{
	apiVersion: "v1", kind: "ConfigMap", plural: "configmaps",
	content: `"data": {"a": %q, "b": "two"}`,
	field:   []string{"f:data", "f:a"},
}

// customFacts has a default, an int32, a quantity and an int-or-string.
var customFacts = factKind{
	apiVersion: "facts.kooperd.dev/v1", kind: "Fact", plural: "facts",
	content: `"spec": {"a": %q, "n": 3, "size": "1000m", "port": "80", "ports": [{"port": 80}]}`,
	field:   []string{"f:spec", "f:a"},
}

const factsDefinition = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: facts.facts.kooperd.dev}
spec:
  group: facts.kooperd.dev
  scope: Namespaced
  names: {kind: Fact, plural: facts, singular: fact}
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
            properties:
              a: {type: string}
              mode: {type: string, default: fast}
              "n": {type: integer, format: int32}
              size: {x-kubernetes-int-or-string: true, anyOf: [{type: integer}, {type: string}]}
              port: {x-kubernetes-int-or-string: true}
              free: {type: object, additionalProperties: {type: string}}
              list: {type: array, items: {type: string}}
              maybe: {type: string, nullable: true}
              ports:
                type: array
                x-kubernetes-list-type: map
                x-kubernetes-list-map-keys: [port, protocol]
                items:
                  type: object
                  required: [port]
                  properties:
                    port: {type: integer, format: int32}
                    protocol: {type: string, default: TCP}
                    name: {type: string}
          status:
            type: object
            properties: {ready: {type: string}}
`

// subject is an object of a kind in a namespace; each fact has one of its own.
type subject struct {
	factKind
	namespace, name string
	client          *http.Client
	config          *rest.Config
}

func newSubject(t *testing.T, k factKind, namespace, name string) *subject {
	t.Helper()
	return newSubjectAs(t, shared.AdminConfig(), k, namespace, name)
}

func newSubjectAs(t *testing.T, config *rest.Config, k factKind, namespace, name string) *subject {
	t.Helper()
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	return &subject{factKind: k, namespace: namespace, name: name, client: client, config: config}
}

// body is the object as it is written: its field of type text has the value, and extra are further
// fields of its metadata.
func (s *subject) body(value, extra string) string {
	return s.write(fmt.Sprintf(s.content, value), extra)
}

// write is body with content of the caller's.
func (s *subject) write(content, extra string) string {
	if content != "" {
		content = ", " + content
	}
	if extra != "" {
		extra = ", " + extra
	}
	return fmt.Sprintf(`{"apiVersion": %q, "kind": %q, "metadata": {"name": %q%s}%s}`, s.apiVersion, s.kind, s.name, extra, content)
}

// collection is the path of all objects of the kind in the namespace.
func (s *subject) collection() string {
	prefix := "/apis/" + s.apiVersion
	if !strings.Contains(s.apiVersion, "/") {
		prefix = "/api/" + s.apiVersion
	}
	return prefix + "/namespaces/" + s.namespace + "/" + s.plural
}

// answer is one of the API server's.
type answer struct {
	code   int
	object stored
	status metav1.Status // of a failure
	text   string
}

// stored is the part of an object that the facts are about.
type stored struct {
	metav1.TypeMeta
	Metadata metav1.ObjectMeta `json:"metadata"`
	Data     map[string]string `json:"data"`
	Spec     map[string]any    `json:"spec"`
}

// request is one to the API server; the path is that of the object, or of a subresource of it.
type request struct {
	method, subresource, contentType, accept, body string
	query                                          url.Values
}

func (s *subject) send(t *testing.T, r request) answer {
	t.Helper()
	path := s.collection() + "/" + s.name + r.subresource
	if r.method == http.MethodPost {
		path = s.collection()
	}
	// What a test cleans up comes after the end of its context.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, r.method, s.config.Host+path+"?"+r.query.Encode(), strings.NewReader(r.body))
	if err != nil {
		t.Fatal(err)
	}
	if r.contentType == "" {
		r.contentType = "application/json"
	}
	if r.accept == "" {
		r.accept = "application/json"
	}
	req.Header.Set("Content-Type", r.contentType)
	req.Header.Set("Accept", r.accept)
	resp, err := s.client.Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", r.method, path, err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", r.method, path, err)
	}
	a := answer{code: resp.StatusCode, text: string(data)}
	into := any(&a.object)
	if a.code >= http.StatusBadRequest {
		into = &a.status
	}
	if err := json.Unmarshal(data, into); err != nil {
		t.Fatalf("%s %s: reading %q: %v", r.method, path, data, err)
	}
	return a
}

// apply sends a server-side apply.
func (s *subject) apply(t *testing.T, manager, body string, query ...string) answer {
	t.Helper()
	return s.send(t, request{method: http.MethodPatch, contentType: applyPatch, body: body, query: values(manager, query)})
}

// patch sends a patch of another type.
func (s *subject) patch(t *testing.T, manager, contentType, body string) answer {
	t.Helper()
	return s.send(t, request{method: http.MethodPatch, contentType: contentType, body: body, query: values(manager, nil)})
}

// values are the query of a request by a manager, with further "key=value".
func values(manager string, further []string) url.Values {
	query := url.Values{}
	if manager != "" {
		query.Set("fieldManager", manager)
	}
	for _, item := range further {
		key, value, _ := strings.Cut(item, "=")
		query.Set(key, value)
	}
	return query
}

// get returns the object as it is.
func (s *subject) get(t *testing.T) answer {
	t.Helper()
	return s.send(t, request{method: http.MethodGet})
}

// made applies the object as ours, with the value "one" and a label, and returns the answer.
func (s *subject) made(t *testing.T) answer {
	t.Helper()
	return s.mustApply(t, ours, s.body("one", `"labels": {"mark": "ours"}`))
}

func (s *subject) mustApply(t *testing.T, manager, body string, query ...string) answer {
	t.Helper()
	return s.must(t, s.apply(t, manager, body, query...))
}

func (s *subject) mustPatch(t *testing.T, manager, contentType, body string) answer {
	t.Helper()
	return s.must(t, s.patch(t, manager, contentType, body))
}

// must fails the test if the answer is no success: what it prepares is no fact of its own.
func (*subject) must(t *testing.T, a answer) answer {
	t.Helper()
	if a.code >= http.StatusBadRequest {
		t.Fatalf("preparing: %d %s", a.code, a.text)
	}
	return a
}

// entry returns the fields of a manager's entry, as the API server writes them, or nothing.
func (o stored) entry(t *testing.T, manager string, operation metav1.ManagedFieldsOperationType) map[string]any {
	t.Helper()
	for _, e := range o.Metadata.ManagedFields {
		if e.Manager != manager || e.Operation != operation || e.Subresource != "" {
			continue
		}
		fields := map[string]any{}
		if err := json.Unmarshal(e.FieldsV1.GetRawBytes(), &fields); err != nil {
			t.Fatalf("reading managedFields: %v", err)
		}
		return fields
	}
	return nil
}

// owns reports whether a path is in a manager's entry.
func (o stored) owns(t *testing.T, manager string, operation metav1.ManagedFieldsOperationType, path ...string) bool {
	t.Helper()
	fields := o.entry(t, manager, operation)
	for _, step := range path {
		next, ok := fields[step].(map[string]any)
		if !ok {
			return false
		}
		fields = next
	}
	return fields != nil
}

// managed is managedFields for people.
func (o stored) managed() string {
	var text strings.Builder
	for _, e := range o.Metadata.ManagedFields {
		fmt.Fprintf(&text, "%s %s %s\n", e.Manager, e.Operation, e.FieldsV1.GetRawString())
	}
	return text.String()
}

// refused fails the test if the answer is not a failure with this status.
func (s *subject) refused(t *testing.T, a answer, code int, reason metav1.StatusReason, message string) {
	t.Helper()
	if a.code != code || a.status.Reason != reason || !strings.Contains(a.status.Message, message) {
		t.Errorf("answer: %d %s, want %d, reason %s, message with %q", a.code, a.text, code, reason, message)
	}
}
