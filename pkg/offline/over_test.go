package offline_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"kooperd.dev/kooperd/pkg/kinds"
	"kooperd.dev/kooperd/pkg/offline"
)

// sent is a request that has reached the API server.
type sent struct {
	method, path, contentType, body string
	dryRun                          []string // of the query
}

// apiServer answers every request in one way, and notes what it was asked.
type apiServer struct {
	*httptest.Server
	answer func(sent) (code int, body string)

	mu       sync.Mutex
	requests []sent
}

func newAPIServer(t *testing.T, answer func(sent) (int, string)) *apiServer {
	t.Helper()
	s := &apiServer{answer: answer}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			t.Error(err)
		}
		r := sent{req.Method, req.URL.Path, req.Header.Get("Content-Type"), string(body), req.URL.Query()["dryRun"]}
		s.mu.Lock()
		s.requests = append(s.requests, r)
		s.mu.Unlock()
		code, text := s.answer(r)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		_, _ = io.WriteString(w, text) // The client notices.
	}))
	t.Cleanup(s.Close)
	return s
}

// took returns the requests of a method.
func (s *apiServer) took(method string) []sent {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(s.requests), func(r sent) bool { return r.method != method })
}

// over returns a client for the API server by way of a Server.
func over(t *testing.T, api *apiServer) (*offline.Server, *http.Client) {
	t.Helper()
	server := offline.NewServer(kinds.BuiltIn())
	client, err := rest.HTTPClientFor(server.Over(&rest.Config{Host: api.URL}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.CloseIdleConnections)
	return server, client
}

func send(t *testing.T, client *http.Client, method, address, contentType, body string) (code int, answer string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", contentType)
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// TestDeleteIsDryRun checks that a DELETE says so in its body: where there is a body, the API
// server does not look at the query.
func TestDeleteIsDryRun(t *testing.T) {
	const path = "/api/v1/namespaces/a/configmaps"
	cases := map[string]struct {
		name, body string
		refused    bool
	}{
		"no options":              {name: "/settings"},
		"options":                 {name: "/settings", body: `{"kind":"DeleteOptions","apiVersion":"v1","propagationPolicy":"Background","preconditions":{"uid":"u"}}`},
		"options without a kind":  {name: "/settings", body: `{"preconditions":{"uid":"u"}}`},
		"another dry run":         {name: "/settings", body: `{"kind":"DeleteOptions","apiVersion":"v1","dryRun":[],"dryRun":null}`},
		"what is no JSON":         {name: "/settings", body: "k8s\x00\n\x0f\n\x02v1\x12\x0dDeleteOptions", refused: true},
		"something else":          {name: "/settings", body: `{"kind":"ConfigMap","apiVersion":"v1"}`, refused: true},
		"all objects":             {refused: true},
		"all objects, by options": {body: `{"kind":"DeleteOptions","apiVersion":"v1"}`, refused: true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			api := newAPIServer(t, func(sent) (int, string) {
				return http.StatusOK, `{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings", "namespace": "a", "uid": "u", "resourceVersion": "7"}}`
			})
			server, client := over(t, api)
			server.Put(parse(t, settings))
			code, answer := send(t, client, http.MethodDelete, api.URL+path+tc.name, "application/json", tc.body)
			deletes := api.took(http.MethodDelete)
			if tc.refused {
				if code < http.StatusBadRequest || len(deletes) > 0 {
					t.Errorf("the answer is %d %s, and the API server was asked %v", code, answer, deletes)
				}
				return
			}
			if code != http.StatusOK || len(deletes) != 1 {
				t.Fatalf("the answer is %d %s, and the API server was asked %v", code, answer, deletes)
			}
			var options metav1.DeleteOptions
			if err := json.Unmarshal([]byte(deletes[0].body), &options); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(options.DryRun, []string{metav1.DryRunAll}) || deletes[0].contentType != "application/json" {
				t.Errorf("the API server got %s as %s", deletes[0].body, deletes[0].contentType)
			}
			if asked := options.Preconditions != nil; asked != strings.Contains(tc.body, "preconditions") {
				t.Errorf("the preconditions are lost: %s", deletes[0].body)
			}
			if text := fmt.Sprint(server.Now(offline.KeyOf(parse(t, settings)))); text != "<nil>" {
				t.Errorf("here, it is still %s", text)
			}
		})
	}
}

// TestChangesOfManagersStayHere checks that a dry run that another party has asked for is not kept,
// and that after a change of managedFields nothing of the object is asked of the API server.
func TestChangesOfManagersStayHere(t *testing.T) {
	const (
		path    = "/api/v1/namespaces/a/configmaps/settings"
		applied = `{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings", "namespace": "a"}, "data": {"one": "y"}}`
		release = `[{"op": "replace", "path": "/metadata/managedFields", "value": []}]`
		probed  = `{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings", "namespace": "a", "resourceVersion": "7"}, "data": {"one": "z"}}`
	)
	api := newAPIServer(t, func(sent) (int, string) { return http.StatusOK, probed })
	server, client := over(t, api)
	key := offline.KeyOf(parse(t, settings))
	server.Put(parse(t, strings.Replace(settings, "namespace: a", "namespace: a, resourceVersion: '5000', managedFields: [{manager: m, operation: Apply, apiVersion: v1, fieldsType: FieldsV1, fieldsV1: {}}]", 1)))
	one := func() string {
		data, _ := server.Now(key).Object["data"].(map[string]any)
		text, _ := data["one"].(string)
		return text
	}
	const apply = "application/apply-patch+yaml"
	if code, answer := send(t, client, http.MethodPatch, api.URL+path+"?fieldManager=m&dryRun=All", apply, applied); code != http.StatusOK || one() != "x" {
		t.Errorf("the answer to a dry run is %d %s, and the object has %q", code, answer, one())
	}
	if code, answer := send(t, client, http.MethodPatch, api.URL+path+"?fieldManager=m", "application/json-patch+json", release); code != http.StatusOK {
		t.Fatalf("the answer to a change of managedFields is %d %s", code, answer)
	}
	if version := server.Now(key).GetResourceVersion(); one() != "x" || version != "5001" {
		t.Errorf("the object has %q and version %s", one(), version)
	}
	if code, answer := send(t, client, http.MethodPatch, api.URL+path+"?fieldManager=m&force=true", apply, applied); code != http.StatusOK || one() != "y" {
		t.Errorf("the answer to an apply is %d %s, and the object has %q", code, answer, one())
	}
	asked := api.took(http.MethodPatch)
	if len(asked) != 2 {
		t.Errorf("the API server was asked %v", asked)
	}
	for _, r := range asked {
		if !slices.Equal(r.dryRun, []string{metav1.DryRunAll}) {
			t.Errorf("%v is no dry run", r)
		}
	}
}
