package access

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kooperd.dev/kooperd/pkg/kinds"
)

// grantingServer is an API server's side of reviews. A function says what it grants.
type grantingServer struct {
	grants func(spec authorizationv1.SelfSubjectAccessReviewSpec) (bool, error)
	takes  time.Duration

	mu    sync.Mutex
	asked []authorizationv1.SelfSubjectAccessReviewSpec
}

func (a *grantingServer) Create(ctx context.Context, review *authorizationv1.SelfSubjectAccessReview, _ metav1.CreateOptions) (*authorizationv1.SelfSubjectAccessReview, error) {
	a.mu.Lock()
	a.asked = append(a.asked, review.Spec)
	a.mu.Unlock()
	select {
	case <-time.After(a.takes):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	allowed, err := a.grants(review.Spec)
	review.Status.Allowed = allowed
	return review, err
}

func rule(resource string, verbs ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{APIGroups: []string{"apps"}, Resources: []string{resource}, Verbs: verbs}
}

func TestMissingSaysNoMoreThanWhatIsMissing(t *testing.T) {
	server := &grantingServer{grants: func(spec authorizationv1.SelfSubjectAccessReviewSpec) (bool, error) {
		if spec.NonResourceAttributes != nil {
			return false, nil
		}
		return spec.ResourceAttributes.Verb == "get", nil
	}}
	needs := []Requirement{
		{Definition: "a", Namespace: "x", Rule: rule("deployments/scale", "get", "update", "patch")},
		{Definition: "b", Rule: rule("deployments", "get")},
		{Definition: "c", Rule: rbacv1.PolicyRule{NonResourceURLs: []string{"/version"}, Verbs: []string{"get"}}, Optional: true},
	}
	got, err := NewReviewer(server).Missing(t.Context(), needs)
	if err != nil {
		t.Fatal(err)
	}
	want := []Requirement{{Definition: "a", Namespace: "x", Rule: rule("deployments/scale", "update", "patch")}, needs[2]}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("missing (-want +got):\n%s", diff)
	}
	for _, spec := range server.asked {
		if r := spec.ResourceAttributes; r != nil && r.Namespace == "x" && (r.Resource != "deployments" || r.Subresource != "scale" || r.Group != "apps") {
			t.Errorf("asked for %+v", r)
		}
	}
}

func TestSameQuestionsAreAskedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &grantingServer{takes: time.Second, grants: func(authorizationv1.SelfSubjectAccessReviewSpec) (bool, error) { return true, nil }}
		reviewer := NewReviewer(server)
		ask := func(ctx context.Context) {
			var asking sync.WaitGroup
			for range 100 {
				asking.Go(func() {
					missing, err := reviewer.Missing(ctx, []Requirement{{Rule: rule("deployments", "get", "list")}})
					if ctx.Err() == nil && (len(missing) > 0 || err != nil) {
						t.Errorf("missing %v, %v", missing, err)
					}
				})
			}
			asking.Wait()
		}
		ask(t.Context())
		ask(t.Context())
		if n := len(server.asked); n != 2 {
			t.Errorf("%d requests for two rights, want 2", n)
		}
		time.Sleep(answerAge + time.Millisecond)
		ask(t.Context())
		if n := len(server.asked); n != 4 {
			t.Errorf("%d requests after the answers have aged, want 4", n)
		}
	})
}

// Who asked first may go; the others must get an answer all the same.
func TestReviewsSurviveTheAsker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &grantingServer{takes: time.Second, grants: func(authorizationv1.SelfSubjectAccessReviewSpec) (bool, error) { return true, nil }}
		reviewer, needs := NewReviewer(server), []Requirement{{Rule: rule("deployments", "get")}}
		first, leave := context.WithCancel(t.Context())
		var asking sync.WaitGroup
		asking.Go(func() {
			if _, err := reviewer.Missing(first, needs); !errors.Is(err, context.Canceled) {
				t.Errorf("who left got %v", err)
			}
		})
		synctest.Wait()
		asking.Go(func() {
			if missing, err := reviewer.Missing(t.Context(), needs); err != nil || len(missing) > 0 {
				t.Errorf("who stayed got %v, %v", missing, err)
			}
		})
		synctest.Wait()
		leave()
		asking.Wait()
	})
}

func TestReviewFails(t *testing.T) {
	broken := errors.New("the API server is away")
	server := &grantingServer{grants: func(authorizationv1.SelfSubjectAccessReviewSpec) (bool, error) { return false, broken }}
	if _, err := NewReviewer(server).Missing(t.Context(), []Requirement{{Rule: rule("deployments", "get", "list")}}); !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
}

// A client-go call that does not return, because a credential plugin hangs, keeps no caller longer
// than its context or kinds.RequestTimeout.
func TestReviewHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		defer close(release)
		server := &grantingServer{grants: func(authorizationv1.SelfSubjectAccessReviewSpec) (bool, error) {
			<-release
			return true, nil
		}}
		reviewer, needs := NewReviewer(server), []Requirement{{Rule: rule("deployments", "get")}}
		began := time.Now()
		limited, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := reviewer.Missing(limited, needs); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Second {
			t.Errorf("with a deadline: %v after %s", err, time.Since(began))
		}
		began = time.Now()
		if _, err := reviewer.Missing(t.Context(), needs); !errors.Is(err, kinds.ErrHung) || time.Since(began) != kinds.RequestTimeout+time.Second {
			t.Errorf("without a deadline: %v after %s", err, time.Since(began))
		}
	})
}

// fewNamespaces has one namespace, and refuses to say whether another one exists.
type fewNamespaces struct{ asked int }

func (n *fewNamespaces) Get(_ context.Context, name string, _ metav1.GetOptions) (*corev1.Namespace, error) {
	n.asked++
	switch name {
	case "there":
		return &corev1.Namespace{}, nil
	case "secret":
		return nil, apierrors.NewForbidden(corev1.Resource("namespaces"), name, nil)
	}
	return nil, apierrors.NewNotFound(corev1.Resource("namespaces"), name)
}

func TestMissingNamespaces(t *testing.T) {
	server := &fewNamespaces{}
	reviews := &grantingServer{grants: func(spec authorizationv1.SelfSubjectAccessReviewSpec) (bool, error) {
		r := spec.ResourceAttributes
		return r.Verb == "get" && r.Resource == "namespaces" && r.Namespace == r.Name && r.Name != "closed", nil
	}}
	namespaces := NewNamespaces(server, reviews)
	for range 2 {
		missing, unknown, err := namespaces.Missing(t.Context(), []string{"there", "gone", "secret", "closed"})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([][]string{{"gone"}, {"secret", "closed"}}, [][]string{missing, unknown}); diff != "" {
			t.Errorf("missing and unknown (-want +got):\n%s", diff)
		}
	}
	if server.asked != 3 {
		t.Errorf("%d requests, want 3: none for a namespace that may not be read", server.asked)
	}
}
