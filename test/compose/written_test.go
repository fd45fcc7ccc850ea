package compose_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// written is a value as it is applied, the paths of it in our entry, and the value as it is stored
// when it differs.
type written struct {
	content, owned, stored string
}

var writtenToConfigMap = []written{
	{content: `"data": {}`, owned: `"f:data":{}`, stored: `null`},
	{content: `"data": null`, owned: `"f:data":{}`, stored: `null`},
	{content: `"data": {"a": ""}`, owned: `"f:data":{"f:a":{}}`},
	{content: `"data": {"a": null}`, owned: `"f:data":{"f:a":{}}`, stored: `{"a":""}`},
}

var writtenToCustom = []written{
	{content: `"spec": {}`, owned: `"f:spec":{}`, stored: `{"mode":"fast"}`},
	{content: `"spec": {"mode": null}`, owned: `"f:spec":{"f:mode":{}}`, stored: `{"mode":"fast"}`},
	{content: `"spec": {"maybe": null}`, owned: `"f:spec":{"f:maybe":{}}`, stored: `{"maybe":null,"mode":"fast"}`},
	{content: `"spec": {"free": {}}`, owned: `"f:spec":{"f:free":{}}`, stored: `{"free":{},"mode":"fast"}`},
	{content: `"spec": {"list": []}`, owned: `"f:spec":{"f:list":{}}`, stored: `{"list":[],"mode":"fast"}`},
	// An empty list whose items have keys is not in the entry.
	{content: `"spec": {"ports": []}`, owned: ``, stored: `{"mode":"fast","ports":[]}`},
	// The key in the entry has the default, the fields are those that are written.
	{
		content: `"spec": {"ports": [{"port": 1}]}`,
		owned:   `"f:spec":{"f:ports":{"k:{\"port\":1,\"protocol\":\"TCP\"}":{".":{},"f:port":{}}}}`,
		stored:  `{"mode":"fast","ports":[{"port":1,"protocol":"TCP"}]}`,
	},
	{content: `"spec": {"n": 3.0}`, owned: `"f:spec":{"f:n":{}}`, stored: `{"mode":"fast","n":3}`},
	{content: `"spec": {"size": "1000m"}`, owned: `"f:spec":{"f:size":{}}`, stored: `{"mode":"fast","size":"1000m"}`},
	{content: `"spec": {"port": 80}`, owned: `"f:spec":{"f:port":{}}`, stored: `{"mode":"fast","port":80}`},
	// Status has a subresource.
	{content: `"status": {"ready": "no"}`, owned: ``, stored: `null`},
}

// TestEntryIsWhatIsWritten shows that our entry has the paths as they were written, whatever the
// API server makes of them: a child needs no apply when each of its leaves is owned. The
// exceptions are what that comparison must know.
func TestEntryIsWhatIsWritten(t *testing.T) {
	shared.Apply(t, factsDefinition)
	namespace := shared.Namespace(t)
	for _, kind := range []struct {
		factKind
		cases []written
	}{{configMapFacts, writtenToConfigMap}, {customFacts, writtenToCustom}} {
		for i, w := range kind.cases {
			t.Run(kind.kind+" "+w.content, func(t *testing.T) {
				s := newSubject(t, kind.factKind, namespace, fmt.Sprintf("written-%s-%d", strings.ToLower(kind.kind), i))
				// An empty label and the creationTimestamp of a marshalled struct change nothing.
				s.mustApply(t, ours, s.write(w.content, `"labels": {"empty": ""}, "creationTimestamp": null`))
				object := s.get(t).object
				want := `{"f:metadata":{"f:labels":{"f:empty":{}}}`
				if w.owned != "" {
					want += "," + w.owned
				}
				if diff := gocmp.Diff(decoded(t, want+"}"), object.entry(t, ours, applied)); diff != "" {
					t.Errorf("our entry (-want +got):\n%s", diff)
				}
				if w.stored == "" {
					_, w.stored, _ = strings.Cut(w.content, ":")
				}
				if diff := gocmp.Diff(compact(t, w.stored), object.content(t)); diff != "" {
					t.Errorf("what is stored (-want +got):\n%s", diff)
				}
			})
		}
	}
}

// content is the data, or the spec, as JSON.
func (o stored) content(t *testing.T) string {
	t.Helper()
	var value any = o.Spec
	if o.Kind == configMapFacts.kind {
		value = o.Data
	}
	data, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func decoded(t *testing.T, text string) map[string]any {
	t.Helper()
	var value map[string]any
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		t.Fatalf("reading %s: %v", text, err)
	}
	return value
}

func compact(t *testing.T, text string) string {
	t.Helper()
	var value any
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		t.Fatalf("reading %s: %v", text, err)
	}
	data, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// TestStatusFacts is about the status of custom kinds: writing it changes nothing else, and only
// the resourceVersion keeps it from an object that is not the one that was seen. A uid would not,
// as the API server takes that of the stored object.
func TestStatusFacts(t *testing.T) {
	shared.Apply(t, factsDefinition)
	s := newSubject(t, customFacts, shared.Namespace(t), "status")
	made := s.made(t)
	status := func(body string) answer {
		return s.send(t, request{method: http.MethodPatch, subresource: "/status", contentType: mergePatch, query: values(ours, nil), body: body})
	}

	now := s.must(t, status(fmt.Sprintf(`{"metadata": {"resourceVersion": %q}, "spec": {"a": "two"}, "status": {"ready": "yes"}}`,
		made.object.Metadata.ResourceVersion)))
	if value, _ := now.object.value(); value != "one" || now.object.Metadata.Generation != made.object.Metadata.Generation {
		t.Errorf("after a write of the status, the spec has %q at generation %d, want it unchanged", value, now.object.Metadata.Generation)
	}
	s.owned(t, now, ours, applied, true, s.field...)

	stale := status(fmt.Sprintf(`{"metadata": {"resourceVersion": %q}, "status": {"ready": "no"}}`, made.object.Metadata.ResourceVersion))
	s.refused(t, stale, http.StatusConflict, metav1.StatusReasonConflict, "")
	s.unchanged(t, now)
}
