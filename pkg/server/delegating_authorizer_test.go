package server

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

// reviews answers as an API server does, and counts. That a real one answers so is tested end to
// end; here it is about how often it is asked.
type reviews struct {
	tokens, access atomic.Int32
	status         atomic.Int32  // an error that every request is answered with; 0 is none
	hold           chan struct{} // requests wait until it is closed; nil holds none
	arrived        chan struct{} // is sent to by each request that waits
	dropped        chan struct{} // is sent to by each one whose client goes away meanwhile

	mu   sync.Mutex
	last authorizationv1.SubjectAccessReviewSpec
}

func (a *reviews) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body) // Before that the server does not notice that a client has gone.
	if err != nil {
		return
	}
	if a.hold != nil {
		a.arrived <- struct{}{}
		select {
		case <-a.hold:
		case <-r.Context().Done():
			a.dropped <- struct{}{}
			return
		}
	}
	w.Header().Set("Content-Type", "application/json")
	if code := a.status.Load(); code != 0 {
		w.WriteHeader(int(code))
		respond(w, &metav1.Status{
			TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: metav1.StatusFailure, Code: code,
			Reason: map[int32]metav1.StatusReason{403: metav1.StatusReasonForbidden}[code], Message: "no answer for ann",
		})
		return
	}
	if strings.HasSuffix(r.URL.Path, "/tokenreviews") {
		a.tokens.Add(1)
		var review authenticationv1.TokenReview
		_ = json.Unmarshal(body, &review)
		review.Status.Authenticated = review.Spec.Token != "bad"
		review.Status.User = authenticationv1.UserInfo{
			Username: review.Spec.Token, UID: "7", Groups: []string{"g"}, Extra: map[string]authenticationv1.ExtraValue{"k": {"v"}},
		}
		respond(w, &review)
		return
	}
	a.access.Add(1)
	var review authorizationv1.SubjectAccessReview
	_ = json.Unmarshal(body, &review)
	a.mu.Lock()
	a.last = review.Spec
	a.mu.Unlock()
	review.Status.Allowed = review.Spec.User == "ann"
	respond(w, &review)
}

func respond(w http.ResponseWriter, object any) {
	_ = json.NewEncoder(w).Encode(object) //nolint:errchkjson // the client tells if this goes wrong
}

func newReviewer(t *testing.T, api *reviews) *DelegatingAuthorizer {
	t.Helper()
	server := httptest.NewServer(api)
	t.Cleanup(server.Close)
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	r, err := NewDelegatingAuthorizer(&rest.Config{Host: server.URL, Transport: transport, ContentConfig: rest.ContentConfig{ContentType: "application/json"}})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestReviewerAsksOnce(t *testing.T) {
	api := &reviews{}
	r := newReviewer(t, api)
	for range 3 {
		if err := r.Allow(t.Context(), "ann", "get", "/metrics"); err != nil {
			t.Errorf("ann: %v", err)
		}
		err := r.Allow(t.Context(), "bob", "get", "/metrics")
		if !errors.Is(err, ErrForbidden) || err.Error() != `forbidden: user "bob" may not get /metrics` {
			t.Errorf("bob: %v", err)
		}
		if err := r.Allow(t.Context(), "bad", "get", "/metrics"); !errors.Is(err, ErrUnauthenticated) {
			t.Errorf("bad: %v", err)
		}
	}
	if tokens, access := api.tokens.Load(), api.access.Load(); tokens != 3 || access != 2 {
		t.Errorf("asked for %d tokens and %d rights, want 3 and 2", tokens, access)
	}
	// Another path is another question.
	if err := r.Allow(t.Context(), "ann", "get", "/debug/pprof/heap"); err != nil {
		t.Errorf("ann: %v", err)
	}
	want := authorizationv1.SubjectAccessReviewSpec{
		User: "ann", UID: "7", Groups: []string{"g"}, Extra: map[string]authorizationv1.ExtraValue{"k": {"v"}},
		NonResourceAttributes: &authorizationv1.NonResourceAttributes{Path: "/debug/pprof/heap", Verb: "get"},
	}
	if diff := cmp.Diff(want, api.last); diff != "" {
		t.Errorf("the last question (-want +got):\n%s", diff)
	}
}

// TestReviewerForgetsErrors: that the API server could not be asked is nobody's verdict.
func TestReviewerForgetsErrors(t *testing.T) {
	tests := map[string]struct {
		status   int32
		mayAsk   bool
		wantText string
	}{
		"no right to ask": {status: 403, wantText: "system:auth-delegator"},
		"broken":          {status: 500, mayAsk: true, wantText: "reviewing a token: "},
		"not logged in":   {status: 401, mayAsk: true, wantText: "reviewing a token: "},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			api := &reviews{}
			r := newReviewer(t, api)
			api.status.Store(tc.status)
			err := r.Allow(t.Context(), "ann", "get", "/metrics")
			if err == nil || errors.Is(err, ErrMayNotAsk) == tc.mayAsk || errors.Is(err, ErrForbidden) || errors.Is(err, ErrUnauthenticated) {
				t.Errorf("Allow: %v", err)
			}
			if err != nil && (!strings.Contains(err.Error(), tc.wantText) || strings.Contains(err.Error(), "ann")) {
				t.Errorf("Allow: %q, want %q and not the token", err, tc.wantText)
			}
			api.status.Store(0)
			if err := r.Allow(t.Context(), "ann", "get", "/metrics"); err != nil {
				t.Errorf("Allow after the trouble: %v", err)
			}
		})
	}
}

func TestReviewerWithoutAPIServer(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	r, err := NewDelegatingAuthorizer(&rest.Config{Host: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Allow(t.Context(), "ann", "get", "/metrics"); err == nil || errors.Is(err, ErrForbidden) || errors.Is(err, ErrUnauthenticated) {
		t.Errorf("Allow: %v, want that nobody could be asked", err)
	}
}

// TestReviewerSharesOneQuestion lets many ask at once, the first of whom goes away.
func TestReviewerSharesOneQuestion(t *testing.T) {
	api := &reviews{hold: make(chan struct{}), arrived: make(chan struct{}, 100), dropped: make(chan struct{}, 100)}
	r := newReviewer(t, api)
	first, leave := context.WithCancel(t.Context())
	defer leave()
	gone := make(chan error, 1)
	go func() { gone <- r.Allow(first, "ann", "get", "/metrics") }()
	<-api.arrived
	const others = 20
	answers := make(chan error, others)
	for range others {
		go func() { answers <- r.Allow(t.Context(), "ann", "get", "/metrics") }()
	}
	leave()
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Errorf("who has gone gets %v", err)
	}
	<-api.dropped
	<-api.arrived // One of the others asks again.
	close(api.hold)
	for range others {
		select {
		case err := <-answers:
			if err != nil {
				t.Errorf("another: %v", err)
			}
		case <-time.After(patience):
			t.Fatal("no answer")
		}
	}
	if got := api.tokens.Load(); got != 1 {
		t.Errorf("the API server answered %d times, want once", got)
	}
}

func TestReviewerRemembersNoToken(t *testing.T) {
	api := &reviews{}
	r := newReviewer(t, api)
	other := newReviewer(t, api)
	if r.key("ann", "get", "/metrics") == other.key("ann", "get", "/metrics") {
		t.Error("two processes hash a token alike: the hashes tell whether two tokens are the same")
	}
	if r.key("a", "b", "c") == r.key("ab", "", "c") {
		t.Error("two questions have one key")
	}
}
