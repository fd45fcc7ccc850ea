package daemon

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"

	"kooperd.dev/kooperd/pkg/kinds"
)

// TestPublishedKinds has an API server that serves three kinds: one is in its OpenAPI after a
// second, one never, and the document of the third cannot be had. A fourth is not served.
func TestPublishedKinds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const resources = `{"kind": "APIResourceList", "groupVersion": "G/v1", "resources": [{"name": "widgets", "kind": "Widget", "verbs": ["list"]}]}`
		start, refused := time.Now(), 0
		client, err := discovery.NewDiscoveryClientForConfig(&rest.Config{
			Host: "http://api.invalid",
			Transport: transportFunc(func(r *http.Request) (*http.Response, error) {
				group := strings.Split(strings.TrimPrefix(r.URL.Path, "/openapi/v3"), "/")[2]
				openAPI := strings.HasPrefix(r.URL.Path, "/openapi")
				status, body := http.StatusOK, strings.Replace(resources, "G", group, 1)
				switch {
				case openAPI && group == "refused.com":
					refused++
					status = http.StatusForbidden
				case group == "unserved.com", openAPI && group == "never.com", openAPI && time.Since(start) < time.Second:
					status = http.StatusNotFound
				case openAPI:
					body = `{"components": {"schemas": {"a": {"type": "object", "properties": {"size": {"type": "integer"}},
						"x-kubernetes-group-version-kind": [{"group": "late.com", "version": "v1", "kind": "Widget"}]}}}}`
				}
				header := http.Header{"Content-Type": {"application/json"}}
				return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
			}),
		})
		if err != nil {
			t.Fatal(err)
		}
		served := kinds.NewDiscovery(client)
		defer served.Close()
		widget := func(group string) schema.GroupVersionKind {
			return schema.GroupVersionKind{Group: group, Version: "v1", Kind: "Widget"}
		}

		found, failed, err := publishedKinds(t.Context(), served, []schema.GroupVersionKind{widget("late.com"), widget("unserved.com")})
		if _, ok := found.Find(widget("late.com")); err != nil || !ok || len(failed) != 0 {
			t.Errorf("found %v, failed %v, error %v; want the kind that came late", found, failed, err)
		}
		if took := time.Since(start); took < time.Second || took > time.Second+publishInterval {
			t.Errorf("it took %s, want to have waited no longer than for the kind", took)
		}

		all := []schema.GroupVersionKind{widget("late.com"), widget("never.com"), widget("refused.com")}
		found, failed, err = publishedKinds(t.Context(), served, all)
		if err != nil || len(found) != 1 || len(failed) != 2 || !errors.Is(failed[widget("never.com")], errUnpublished) || failed[widget("refused.com")] == nil {
			t.Errorf("found %v, failed %v, error %v", found, failed, err)
		}
		if refused != 1 {
			t.Errorf("a document that cannot be had was asked for %d times, want once", refused)
		}
	})
}
