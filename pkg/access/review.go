package access

import (
	"context"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"
	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// reviewsAtOnce is how many requests one call of Missing makes at a time.
const reviewsAtOnce = 8

// Reviews is the part of client-go's client that a Reviewer uses.
type Reviews interface {
	// Create asks for one right.
	Create(ctx context.Context, review *authorizationv1.SelfSubjectAccessReview,
		opts metav1.CreateOptions) (*authorizationv1.SelfSubjectAccessReview, error)
}

// Reviewer asks the API server what the client may do. Every authenticated client may ask that
// (ClusterRole system:basic-user). Reviews that are the same are asked once. It is safe for
// concurrent use.
type Reviewer struct {
	allowed *answers[reviewKey, bool]
}

// reviewKey is one access review: a verb on a rule's unit.
type reviewKey struct {
	unit
	namespace, verb string
}

// newReviewKey reviews what a request would be: one that creates, or deletes many, has no name when
// it is authorized.
func newReviewKey(u unit, namespace, verb string) reviewKey {
	if verb == "create" || verb == "deletecollection" {
		u.name = ""
	}
	return reviewKey{unit: u, namespace: namespace, verb: verb}
}

// NewReviewer returns a Reviewer that asks by reviews.
func NewReviewer(reviews Reviews) *Reviewer {
	return &Reviewer{allowed: newAnswers(func(ctx context.Context, key reviewKey) (bool, error) {
		review, err := reviews.Create(ctx, key.review(), metav1.CreateOptions{})
		if err != nil {
			return false, fmt.Errorf("asking the API server for the rights of this client: %w", err)
		}
		return review.Status.Allowed, nil
	})}
}

// Missing returns those of the needs that the API server does not grant, each with a rule that is
// no more than what is missing. A yes does not mean that what a rule names exists: see kinds.Rule.
// An error means that it could not be asked.
func (r *Reviewer) Missing(ctx context.Context, needs []Requirement) ([]Requirement, error) {
	var missing []Requirement
	for _, need := range needs {
		rules, err := r.missing(ctx, need)
		if err != nil {
			return nil, err
		}
		for _, rule := range rules {
			lacking := need
			lacking.Rule = rule
			missing = append(missing, lacking)
		}
	}
	return missing, nil
}

// missing asks for every single right of a need at the same time.
func (r *Reviewer) missing(ctx context.Context, need Requirement) ([]rbacv1.PolicyRule, error) {
	denied := verbSets{}
	var mu sync.Mutex
	asking, ctx := errgroup.WithContext(ctx)
	asking.SetLimit(reviewsAtOnce)
	for _, u := range units(need.Rule) {
		for _, verb := range need.Rule.Verbs {
			asking.Go(func() error {
				allowed, err := r.allowed.ask(ctx, newReviewKey(u, need.Namespace, verb))
				if err != nil || allowed {
					return err
				}
				mu.Lock()
				defer mu.Unlock()
				if denied[u] == nil {
					denied[u] = map[string]bool{}
				}
				denied[u][verb] = true
				return nil
			})
		}
	}
	if err := asking.Wait(); err != nil {
		return nil, err
	}
	return denied.rules(), nil
}

func (k reviewKey) review() *authorizationv1.SelfSubjectAccessReview {
	spec := authorizationv1.SelfSubjectAccessReviewSpec{}
	if k.url != "" {
		spec.NonResourceAttributes = &authorizationv1.NonResourceAttributes{Path: k.url, Verb: k.verb}
	} else {
		resource, subresource := splitResource(k.resource)
		spec.ResourceAttributes = &authorizationv1.ResourceAttributes{
			Namespace: k.namespace, Verb: k.verb, Group: k.group, Resource: resource, Subresource: subresource, Name: k.name,
		}
	}
	return &authorizationv1.SelfSubjectAccessReview{Spec: spec}
}
