package kube_test

import (
	"context"
	"net/http"
	"path"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"

	"kooperd.dev/kooperd/test/cluster"
)

// answered counts the requests for one resource that the API server has begun to answer, by the
// client. The audit log has a watch only when it has ended.
type answered struct {
	resource string
	n        atomic.Int64
}

// countAnswered counts the requests for one resource by the clients of a config.
func countAnswered(config *rest.Config, resource string) *answered {
	a := &answered{resource: resource}
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return countingTransport{next: next, answered: a} })
	return a
}

type countingTransport struct {
	next     http.RoundTripper
	answered *answered
}

func (c countingTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := c.next.RoundTrip(req)
	if err == nil && path.Base(req.URL.Path) == c.answered.resource {
		c.answered.n.Add(1)
	}
	return resp, err
}

// WrappedRoundTripper lets client-go find the transport below, as its own wrappers do.
func (c countingTransport) WrappedRoundTripper() http.RoundTripper { return c.next }

// requests are what a test has asked of the API server for one resource: "VERB URI".
func requests(t *testing.T, mark cluster.AuditMark, resource string) []string {
	t.Helper()
	var found []string
	for _, e := range shared.AuditSince(t, mark, agent(t)) {
		if strings.HasPrefix(e.UserAgent, agent(t)) && e.ObjectRef.Resource == resource {
			found = append(found, e.Verb+" "+e.RequestURI)
		}
	}
	return found
}

// awaitRequests waits until all requests that were answered are in the audit log, and returns them.
// No view may be open any more: the API server notices a moment later that a client has closed a
// watch, and of each at another moment.
func awaitRequests(t *testing.T, mark cluster.AuditMark, a *answered) (found []string) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, patience, true, func(context.Context) (bool, error) {
		found = requests(t, mark, a.resource)
		return int64(len(found)) >= a.n.Load(), nil
	})
	if err != nil {
		t.Fatalf("%d requests for %s were answered, and in the audit log are only %q", a.n.Load(), a.resource, found)
	}
	return found
}
