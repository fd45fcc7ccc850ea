package kube

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kooperd.dev/kooperd/pkg/statusz"
)

// codeServer answers every request with a status; 0 is an error.
type codeServer int

var errNoAnswer = errors.New("no answer")

func (a codeServer) RoundTrip(*http.Request) (*http.Response, error) {
	if a == 0 {
		return nil, errNoAnswer
	}
	return &http.Response{StatusCode: int(a), Body: io.NopCloser(strings.NewReader(""))}, nil
}

func TestWritesOfACall(t *testing.T) {
	const object = `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"web-1"}}`
	for name, tc := range map[string]struct {
		method, path, body string
		status             int
		want               statusz.Write
	}{
		"an apply":             {method: "PATCH", path: "/api/v1/namespaces/team-a/configmaps/web", status: 200, want: statusz.Write{Verb: "patch", Object: "configmaps/team-a/web", Status: 200}},
		"a create":             {method: "POST", path: "/api/v1/namespaces/team-a/pods", body: object, status: 201, want: statusz.Write{Verb: "create", Object: "pods/team-a/web-1", Status: 201}},
		"a create of nothing":  {method: "POST", path: "/api/v1/namespaces/team-a/pods", status: 400, want: statusz.Write{Verb: "create", Object: "pods/team-a", Status: 400}},
		"a status":             {method: "PUT", path: "/apis/example.com/v1/namespaces/team-a/widgets/w/status", status: 409, want: statusz.Write{Verb: "update", Object: "widgets/team-a/w", Subresource: "status", Status: 409}},
		"an eviction":          {method: "POST", path: "/api/v1/namespaces/team-a/pods/web-1/eviction", body: object, status: 429, want: statusz.Write{Verb: "create", Object: "pods/team-a/web-1", Subresource: "eviction", Status: 429}},
		"a delete":             {method: "DELETE", path: "/apis/rbac.authorization.k8s.io/v1/clusterroles/r", status: 200, want: statusz.Write{Verb: "delete", Object: "clusterroles/r", Status: 200}},
		"many deletes":         {method: "DELETE", path: "/api/v1/namespaces/team-a/pods", status: 200, want: statusz.Write{Verb: "deletecollection", Object: "pods/team-a", Status: 200}},
		"a namespace":          {method: "PATCH", path: "/api/v1/namespaces/team-a", status: 200, want: statusz.Write{Verb: "patch", Object: "namespaces/team-a", Status: 200}},
		"a namespace's end":    {method: "PUT", path: "/api/v1/namespaces/team-a/finalize", status: 200, want: statusz.Write{Verb: "update", Object: "namespaces/team-a", Subresource: "finalize", Status: 200}},
		"behind a proxy":       {method: "PATCH", path: "/k8s/clusters/c/apis/apps/v1/namespaces/a/deployments/d", status: 200, want: statusz.Write{Verb: "patch", Object: "deployments/a/d", Status: 200}},
		"in a namespace apis":  {method: "PATCH", path: "/api/v1/namespaces/apis/pods/p", status: 200, want: statusz.Write{Verb: "patch", Object: "pods/apis/p", Status: 200}},
		"no answer":            {method: "DELETE", path: "/api/v1/nodes/n", want: statusz.Write{Verb: "delete", Object: "nodes/n"}},
		"no resource":          {method: "POST", path: "/somewhere", status: 404, want: statusz.Write{Verb: "create", Object: "/somewhere", Status: 404}},
		"an unheard-of method": {method: "BREW", path: "/api/v1/nodes/n", status: 405, want: statusz.Write{Verb: "brew", Object: "nodes/n", Status: 405}},
	} {
		t.Run(name, func(t *testing.T) {
			call := NewCall(Key{Namespace: "team-a", Name: "web"}, 1)
			do(t, call, codeServer(tc.status), tc.method, tc.path, tc.body)
			do(t, call, codeServer(200), "GET", tc.path, "")
			do(t, call, codeServer(429), "PATCH", tc.path, "")
			do(t, call, codeServer(201), "POST", tc.path+"?dryRun=All&fieldManager=kooperd", tc.body) // is no write
			writes, total := call.Writes()
			if diff := cmp.Diff([]statusz.Write{tc.want}, writes); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			throttled := 1
			if tc.status == http.StatusTooManyRequests {
				throttled++
			}
			if total != 2 || call.Throttled() != throttled {
				t.Errorf("%d writes, %d of them throttled", total, call.Throttled())
			}
		})
	}
}

// do sends a request of a call, nil for none.
func do(t *testing.T, call *Call, next http.RoundTripper, method, path, body string) {
	t.Helper()
	ctx := t.Context()
	if call != nil {
		ctx = WithCall(ctx, call)
	}
	req, err := http.NewRequestWithContext(ctx, method, "https://server.invalid"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := wrapCalls(next).RoundTrip(req)
	if err == nil {
		_ = resp.Body.Close()
	} else if !errors.Is(err, errNoAnswer) {
		t.Fatal(err)
	}
	if sent, err := io.ReadAll(req.Body); err != nil || string(sent) != body {
		t.Errorf("the body is %q by now: %v", sent, err)
	}
}

func TestRequestsWithoutACall(t *testing.T) {
	do(t, nil, codeServer(200), "PATCH", "/api/v1/nodes/n", "")
	call := NewCall(Key{}, 0)
	do(t, call, codeServer(200), "PATCH", "/api/v1/nodes/n", "")
	if writes, total := call.Writes(); writes != nil || total != 1 {
		t.Errorf("%d writes: %v", total, writes)
	}
}
