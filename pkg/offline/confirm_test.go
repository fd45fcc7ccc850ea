package offline_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"

	"kooperd.dev/kooperd/pkg/kinds"
	"kooperd.dev/kooperd/pkg/offline"
)

const (
	onePath   = "/api/v1/namespaces/a/configmaps/settings?fieldManager=kooperd&force=true"
	applyType = "application/apply-patch+yaml"
	oneMore   = `{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings", "namespace": "a"}, "data": {"one": "y"}}`
)

// confirming returns a Server that confirms its writes, begins with the settings, and has a client.
func confirming(t *testing.T, api *apiServer, c offline.Confirmation) (*offline.Server, *http.Client) {
	t.Helper()
	o := parse(t, settings)
	o.SetUID("u")
	o.SetResourceVersion("5000")
	server := offline.NewSnapshot("team", []*unstructured.Unstructured{o}).NewServer(kinds.BuiltIn())
	server.ConfirmBy(c)
	client, err := rest.HTTPClientFor(server.Over(&rest.Config{Host: api.URL}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.CloseIdleConnections)
	return server, client
}

func refusal(code int, message string) string {
	return fmt.Sprintf(`{"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": %d, "message": %q}`, code, message)
}

// TestWhatCannotBeConfirmed checks which refusals of dry runs say nothing of what would be done:
// the change is worked out then.
func TestWhatCannotBeConfirmed(t *testing.T) {
	for name, tc := range map[string]struct {
		code    int
		message string
		why     string // empty for a refusal that counts
	}{
		"right": {
			http.StatusForbidden, `configmaps "settings" is forbidden: User "u" cannot patch resource "configmaps" in API group "" in the namespace "a"`,
			"the right to patch configmaps is missing",
		},
		"quota":   {http.StatusForbidden, `configmaps "settings" is forbidden: exceeded quota: q`, ""},
		"policy":  {http.StatusForbidden, `configmaps "settings" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no`, ""},
		"fence":   {http.StatusForbidden, `ValidatingAdmissionPolicy 'k' with binding 'k' denied request: the lease a/k is held by x`, "the fence lets only the leader write: ValidatingAdmissionPolicy 'k' with binding 'k' denied request: the lease a/k is held by x"},
		"webhook": {http.StatusBadRequest, `admission webhook "w" does not support dry run`, `admission webhook "w" does not support dry run`},
		"invalid": {http.StatusUnprocessableEntity, "data: Invalid value", ""},
		"failing": {http.StatusInternalServerError, "failed calling webhook", "failed calling webhook"},
	} {
		t.Run(name, func(t *testing.T) {
			api := newAPIServer(t, func(sent) (int, string) { return tc.code, refusal(tc.code, tc.message) })
			server, client := confirming(t, api, offline.Confirmation{})
			code, answer := send(t, client, http.MethodPatch, api.URL+onePath, applyType, oneMore)
			key := offline.KeyOf(parse(t, settings))
			data, _ := server.Now(key).Object["data"].(map[string]any)
			if counts := tc.why == ""; counts != (code == tc.code) || counts == (data["one"] == "y") || counts != strings.Contains(answer, "Failure") {
				t.Errorf("the answer is %d %s, and the object has %v", code, answer, data)
			}
			if why := offline.Unconfirmed(server)[key]; why != tc.why {
				t.Errorf("it is unconfirmed because of %q, want %q", why, tc.why)
			}
			var rights []offline.MissingRight
			if name == "right" {
				rights = append(rights, offline.MissingRight{GroupResource: schema.GroupResource{Resource: "configmaps"}, Namespace: "a", Verb: "patch"})
			}
			if diff := cmp.Diff(fmt.Sprint(rights), fmt.Sprint(offline.MissingRights(server))); diff != "" {
				t.Errorf("missing rights (-want +got):\n%s", diff)
			}
		})
	}
}

// TestNothingIsAskedInVain checks that the same is asked once, and nothing where that is not
// wanted, nor about the status.
func TestNothingIsAskedInVain(t *testing.T) {
	api := newAPIServer(t, func(sent) (int, string) {
		return http.StatusOK, `{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings", "namespace": "a", "uid": "u", "resourceVersion": "5000"}, "data": {"one": "z"}}`
	})
	one := func(server *offline.Server) any {
		data, _ := server.Now(offline.KeyOf(parse(t, settings))).Object["data"].(map[string]any)
		return data["one"]
	}
	answers := &offline.Answers{}
	for range 2 {
		server, client := confirming(t, api, offline.Confirmation{Answers: answers, AtOnce: make(chan struct{}, 1)})
		if code, answer := send(t, client, http.MethodPatch, api.URL+onePath, applyType, oneMore); code != http.StatusOK || one(server) != "z" {
			t.Errorf("the answer is %d %s, and the object has %v", code, answer, one(server))
		}
	}
	server, client := confirming(t, api, offline.Confirmation{Never: true})
	if code, answer := send(t, client, http.MethodPatch, api.URL+onePath, applyType, oneMore); code != http.StatusOK || one(server) != "y" {
		t.Errorf("the answer is %d %s, and the object has %v", code, answer, one(server))
	}
	server, client = confirming(t, api, offline.Confirmation{})
	status := strings.Replace(onePath, "settings", "settings/status", 1)
	if code, answer := send(t, client, http.MethodPatch, api.URL+status, "application/merge-patch+json", `{"status": {"ok": true}}`); code != http.StatusOK || len(offline.Unconfirmed(server)) > 0 {
		t.Errorf("the answer to a status is %d %s", code, answer)
	}
	if asked := api.took(http.MethodPatch); len(asked) != 1 {
		t.Errorf("the API server was asked %v", asked)
	}
}

// TestStaleDelete checks that an object that has changed meanwhile is read again.
func TestStaleDelete(t *testing.T) {
	api := newAPIServer(t, func(r sent) (int, string) {
		if r.method == http.MethodDelete {
			return http.StatusConflict, refusal(http.StatusConflict, "the resourceVersion is another one")
		}
		return http.StatusOK, `{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings", "namespace": "a", "uid": "u", "resourceVersion": "6000"}}`
	})
	server, client := confirming(t, api, offline.Confirmation{})
	path, _, _ := strings.Cut(onePath, "?")
	if code, answer := send(t, client, http.MethodDelete, api.URL+path, "application/json", `{"kind":"DeleteOptions","apiVersion":"v1"}`); code != http.StatusConflict {
		t.Errorf("the answer is %d %s", code, answer)
	}
	if code, answer := send(t, client, http.MethodGet, api.URL+path, "application/json", ""); code != http.StatusOK || !strings.Contains(answer, "6000") {
		t.Errorf("after that, it reads %d %s", code, answer)
	}
	if version := server.Now(offline.KeyOf(parse(t, settings))).GetResourceVersion(); version != "6000" {
		t.Errorf("it has version %s", version)
	}
}

// TestSnapshotIsShared checks that Servers of one Snapshot know nothing of each other, and find the
// same by labels and by UID.
func TestSnapshotIsShared(t *testing.T) {
	objects := []*unstructured.Unstructured{
		parse(t, "{apiVersion: v1, kind: ConfigMap, metadata: {name: b, namespace: a, uid: ub, labels: {team: x}}}"),
		parse(t, "{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: a, uid: ua, labels: {team: x}}}"),
		parse(t, "{apiVersion: v1, kind: ConfigMap, metadata: {name: c, namespace: a, uid: uc, labels: {team: y}}}"),
		parse(t, "{apiVersion: v1, kind: Secret, metadata: {name: a, namespace: a, uid: us, labels: {team: x}}}"),
	}
	snapshot := offline.NewSnapshot("team", objects)
	one, other := snapshot.NewServer(kinds.BuiltIn()), snapshot.NewServer(kinds.BuiltIn())
	one.Put(parse(t, "{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: a, uid: new, labels: {team: x}}}"))
	list := func(server *offline.Server, selector labels.Selector) (found []string) {
		view := offline.View{Server: server, Kind: schema.GroupVersionKind{Version: "v1", Kind: "ConfigMap"}}
		for _, o := range view.List("", selector) {
			found = append(found, o.Name()+" "+string(o.UID()))
		}
		if _, there := view.GetByUID("ua"); there != (server == other) {
			t.Errorf("the first object is there: %t", there)
		}
		return found
	}
	ofX := labels.SelectorFromSet(labels.Set{"team": "x"})
	for _, tc := range []struct {
		server   *offline.Server
		selector labels.Selector
		want     []string
	}{
		{one, ofX, []string{"a new", "b ub"}}, {other, ofX, []string{"a ua", "b ub"}}, {one, nil, []string{"a new", "b ub", "c uc"}},
	} {
		if diff := cmp.Diff(tc.want, list(tc.server, tc.selector)); diff != "" {
			t.Errorf("%s selects (-want +got):\n%s", tc.selector, diff)
		}
	}
}
