package compose

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"kooperd.dev/kooperd/pkg/kinds"
)

func targetOf(kind schema.GroupVersionKind, namespace, name string) target {
	return target{kind: kind, namespace: namespace, name: name}
}

func TestClientRequests(t *testing.T) {
	const partial = ";as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
	page, site := targetOf(configMapKind, "team-a", "page"), targetOf(websiteKind, "team-a", "web")
	part, space := targetOf(widgetKind, "team-a", "part"), targetOf(namespaceKind, "", "space")
	metadata := page
	metadata.metadataOnly = true
	s := newServer(t)
	s.do(func(c *cluster) {
		for _, of := range []target{page, site, part, space} {
			c.edit(idOf(of.kind, of.namespace, of.name), "kubectl", func(map[string]any) {})
		}
	})
	c := s.client(t)
	body := []byte(`{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "page", "namespace": "team-a"}, "data": {"a": "1"}}`)
	tests := map[string]struct {
		do   func() error
		want request
	}{
		"an apply": {
			do:   func() error { _, err := c.apply(t.Context(), page, body, true); return err },
			want: request{method: "PATCH", path: configMapPath("page"), query: "fieldManager=kooperd&force=true", accept: "application/vnd.kubernetes.protobuf,application/json", body: string(body)},
		},
		"an apply that fails at a conflict": {
			do:   func() error { _, err := c.apply(t.Context(), page, body, false); return err },
			want: request{method: "PATCH", path: configMapPath("page"), query: "fieldManager=kooperd&force=false", accept: "application/vnd.kubernetes.protobuf,application/json", body: string(body)},
		},
		"a read of metadata": {
			do: func() error { _, err := c.get(t.Context(), metadata); return err },
			want: request{
				method: "GET", path: configMapPath("page"),
				accept: "application/vnd.kubernetes.protobuf" + partial + ",application/json" + partial + ",application/json",
			},
		},
		"a read of a custom kind": {
			do:   func() error { _, err := c.get(t.Context(), part); return err },
			want: request{method: "GET", path: "/apis/demo.kooperd.dev/v1/namespaces/team-a/widgets/part", accept: "application/json"},
		},
		"a read of a cluster-scoped kind": {
			do:   func() error { _, err := c.get(t.Context(), space); return err },
			want: request{method: "GET", path: "/api/v1/namespaces/space", accept: "application/vnd.kubernetes.protobuf,application/json"},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			s.take()
			if err := tc.do(); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]request{tc.want}, s.take(), cmp.AllowUnexported(request{})); diff != "" {
				t.Errorf("requests (-want +got):\n%s", diff)
			}
		})
	}
}

func TestClientReadsAnswers(t *testing.T) {
	s := newServer(t)
	c := s.client(t)
	d := desire(t, website, page)[0]
	body, err := Op{Desired: d}.body()
	if err != nil {
		t.Fatal(err)
	}
	for _, metadataOnly := range []bool{false, true} {
		of := targetOf(configMapKind, "team-a", "page")
		of.metadataOnly = metadataOnly
		made, err := c.apply(t.Context(), of, body, true)
		if err != nil {
			t.Fatal(err)
		}
		o := observe(made, metadataOnly)
		if o.ID != pageID || !ownsLabel(o.Observed, ParentUIDLabel) || !o.controlledBy(website.UID) || o.marks.applied != d.hash {
			t.Errorf("observed is %+v", o.Observed)
		}
		text, err := made.JSON()
		if err != nil {
			t.Fatal(err)
		}
		if has := strings.Contains(string(text), `"html"`); has == metadataOnly {
			t.Errorf("metadataOnly %v: the answer has the rest: %v", metadataOnly, has)
		}
		if body, err = (Op{Desired: d, Observed: o.Observed}).body(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestClientDeletes(t *testing.T) {
	s := newServer(t)
	c := s.client(t)
	page := targetOf(configMapKind, "team-a", "page")
	s.do(func(c *cluster) { c.edit(pageID, "kubectl", withData("a", "1")) })
	made, err := c.get(t.Context(), page)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.delete(t.Context(), page, made.UID(), "1"); !apierrors.IsConflict(err) {
		t.Errorf("a delete of another version: %v, want a conflict", err)
	}
	if _, err := c.delete(t.Context(), page, "another", made.ResourceVersion()); !apierrors.IsConflict(err) {
		t.Errorf("a delete of another object: %v, want a conflict", err)
	}
	s.take()
	left, err := c.delete(t.Context(), page, made.UID(), made.ResourceVersion())
	if err != nil || left != nil {
		t.Errorf("a delete: %v, %v", left, err)
	}
	var options metav1.DeleteOptions
	asked := s.take()[0]
	if err := json.Unmarshal([]byte(asked.body), &options); err != nil {
		t.Fatal(err)
	}
	uid, version, background := made.UID(), made.ResourceVersion(), metav1.DeletePropagationBackground
	want := metav1.DeleteOptions{
		TypeMeta:      metav1.TypeMeta{APIVersion: "v1", Kind: "DeleteOptions"},
		Preconditions: &metav1.Preconditions{UID: &uid, ResourceVersion: &version}, PropagationPolicy: &background,
	}
	if diff := cmp.Diff(want, options); diff != "" || asked.String() != "DELETE "+configMapPath("page") {
		t.Errorf("%s with options (-want +got):\n%s", asked, diff)
	}
	if _, err := c.delete(t.Context(), page, uid, version); !apierrors.IsNotFound(err) {
		t.Errorf("the next delete: %v, want not found", err)
	}
	s.do(func(c *cluster) {
		c.edit(pageID, "kubectl", func(tree map[string]any) { object(tree, "metadata")["finalizers"] = []any{"example.com/guard"} })
	})
	if made, err = c.get(t.Context(), page); err != nil {
		t.Fatal(err)
	}
	left, err = c.delete(t.Context(), page, made.UID(), made.ResourceVersion())
	if err != nil || left == nil || left.Metadata().DeletionTimestamp == nil {
		t.Errorf("a delete of what has a finalizer: %v, %v", left, err)
	}
}

func TestClientKeepsTheCausesOfAnError(t *testing.T) {
	s := newServer(t)
	c := s.client(t)
	s.do(func(c *cluster) { c.edit(pageID, "kubectl", withData("html", "mine")) })
	body := []byte(`{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "page", "namespace": "team-a"}, "data": {"html": "hello"}}`)
	_, err := c.apply(t.Context(), targetOf(configMapKind, "team-a", "page"), body, false)
	want := `another field manager owns what the child sets: .data.html: conflict with "kubectl"`
	if failure := failed("applying", pageID, err); failure.reason != ReasonConflict || !strings.Contains(failure.Error(), want) {
		t.Errorf("%s: %v, want %s", failure.reason, failure, want)
	}
}

func TestClientAsksOnceHowAKindIsServed(t *testing.T) {
	s := newServer(t)
	found := &finder{}
	c, err := NewClient(s.config(), found)
	if err != nil {
		t.Fatal(err)
	}
	s.do(func(c *cluster) { c.edit(pageID, "kubectl", withData("a", "1")) })
	get := func(kind schema.GroupVersionKind, name string) error {
		_, err := c.get(t.Context(), targetOf(kind, "team-a", name))
		return err
	}
	for range 3 {
		if err := get(configMapKind, "page"); err != nil {
			t.Fatal(err)
		}
	}
	if found.asked != 1 {
		t.Errorf("asked %d times, want once", found.asked)
	}
	if err := get(configMapKind, "none"); !apierrors.IsNotFound(err) {
		t.Fatalf("error %v, want not found", err)
	}
	if err := get(configMapKind, "page"); err != nil || found.asked != 2 {
		t.Errorf("after an object was not found, asked %d times, want once more: %v", found.asked, err)
	}
	if err := get(schema.GroupVersionKind{Group: "x.org", Version: "v1", Kind: "None"}, "x"); !kinds.IsNotServed(err) {
		t.Errorf("error %v, want that it is not served", err)
	}
}

func TestClientRefusesOtherAnswers(t *testing.T) {
	s := newServer(t)
	c := s.client(t)
	for name, text := range map[string]string{
		"a Status":     `{"kind": "Status", "apiVersion": "v1", "status": "Success"}`,
		"another kind": `{"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "page"}}`,
		"no name":      `{"kind": "ConfigMap", "apiVersion": "v1", "metadata": {}}`,
		"cut short":    `{"kind": "ConfigMap", "apiVersion": "v1", "meta`,
		"nothing":      ``,
	} {
		s.answer = func(w http.ResponseWriter, _ request) bool { sendJSON(w, http.StatusOK, []byte(text)); return true }
		if got, err := c.get(t.Context(), targetOf(configMapKind, "team-a", "page")); err == nil {
			t.Errorf("%s: read as %v", name, got)
		}
	}
}

func TestStatusFields(t *testing.T) {
	schemaOf := func(status string) string {
		return `{"components": {"schemas": {
			"other": {"x-kubernetes-group-version-kind": [{"group": "demo.kooperd.dev", "version": "v1", "kind": "Widget"}], "properties": {"status": {"properties": {"x": {}}}}},
			"site": {"x-kubernetes-group-version-kind": [{"group": "demo.kooperd.dev", "version": "v1", "kind": "Website"}], "properties": {"status": ` + status + `}}
		}}}`
	}
	tests := map[string]struct {
		schema string
		keeps  map[string]bool
	}{
		"no schema":               {keeps: map[string]bool{"url": true, "conditions": true}},
		"a schema":                {schema: schemaOf(`{"properties": {"url": {}}}`), keeps: map[string]bool{"url": true, "conditions": false}},
		"one that keeps anything": {schema: schemaOf(`{"x-kubernetes-preserve-unknown-fields": true, "properties": {"url": {}}}`), keeps: map[string]bool{"url": true, "conditions": true}},
		"one without properties":  {schema: schemaOf(`{"type": "object"}`), keeps: map[string]bool{"url": true}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			s.schema = tc.schema
			got, err := s.client(t).statusFields(t.Context(), websiteKind, resources[websiteKind])
			if err != nil || !got.served {
				t.Fatalf("fields %+v, error %v", got, err)
			}
			for field, want := range tc.keeps {
				if got.keeps(field) != want {
					t.Errorf("%s is kept: %v, want %v", field, !want, want)
				}
			}
		})
	}
	s := newServer(t)
	if got, err := s.client(t).statusFields(t.Context(), widgetKind, resources[widgetKind]); err != nil || got.served {
		t.Errorf("of a kind without a status subresource: %+v, error %v", got, err)
	}
	s.schema = "{"
	if _, err := s.client(t).statusFields(t.Context(), websiteKind, resources[websiteKind]); err == nil {
		t.Error("a damaged schema is no error")
	}
}

func TestStatusLeavesOutWhatIsNotKept(t *testing.T) {
	r := newRig(t, rigOptions{composer: keys})
	r.server.schema = `{"components": {"schemas": {"site": {
		"x-kubernetes-group-version-kind": [{"group": "demo.kooperd.dev", "version": "v1", "kind": "Website"}],
		"properties": {"status": {"properties": {"observedGeneration": {}}}}
	}}}}`
	r.newWebsite("web", map[string]any{})
	for range 3 {
		r.mustPass(t, "web")
		r.sync()
	}
	o, err := r.live(idOf(websiteKind, "team-a", "web"))
	if err != nil {
		t.Fatal(err)
	}
	var site struct {
		Status map[string]any `json:"status"`
	}
	if err := o.Into(&site); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"observedGeneration"}, slices.Collect(maps.Keys(site.Status))); diff != "" {
		t.Errorf("fields of the status (-want +got):\n%s", diff)
	}
	schemas, writes := 0, 0
	for _, asked := range r.server.take() {
		if strings.HasPrefix(asked.path, "/openapi") {
			schemas++
		} else {
			writes++
		}
	}
	if schemas != 1 || writes != 1 {
		t.Errorf("%d requests for the schema and %d writes, want one each", schemas, writes)
	}
}

// TestStatusFieldThatIsNew adds a field to the schema after that was read.
func TestStatusFieldThatIsNew(t *testing.T) {
	const schema = `{"components": {"schemas": {"website": {
		"x-kubernetes-group-version-kind": [{"group": "demo.kooperd.dev", "version": "v1", "kind": "Website"}],
		"properties": {"status": {"properties": {"conditions": {}%s}}}}}}}`
	r := newRig(t, rigOptions{composer: keys})
	r.server.schema = fmt.Sprintf(schema, "")
	r.newWebsite("web", map[string]any{"children": names(1)})
	r.mustPass(t, "web")
	if n := r.text("status", "children"); n != "<nil>" {
		t.Fatalf("status.children is %s, which the schema does not have", n)
	}
	r.server.do(func(*cluster) { r.server.schema = fmt.Sprintf(schema, `, "children": {}`) })
	r.status.shape.at = r.status.shape.at.Add(-doubtAge)
	r.sync()
	r.mustPass(t, "web")
	if n := r.text("status", "children"); n != "1" {
		t.Errorf("status.children is %s, want 1", n)
	}
}
