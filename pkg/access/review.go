package access

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/singleflight"
	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	// answerAge is how long an answer is good for: definitions that start together need the same rights.
	answerAge = 10 * time.Second
	// reviewTimeout bounds one request.
	reviewTimeout = 10 * time.Second
	// reviewsAtOnce is how many requests one question makes at a time.
	reviewsAtOnce = 8
)

// Reviews is the part of client-go's client that a Reviewer uses.
type Reviews interface {
	Create(ctx context.Context, review *authorizationv1.SelfSubjectAccessReview, opts metav1.CreateOptions) (*authorizationv1.SelfSubjectAccessReview, error)
}

// Reviewer asks the API server what the client may do, which everybody may ask (ClusterRole system:basic-user). Questions that
// are the same are asked once. It is safe for concurrent use.
type Reviewer struct {
	reviews Reviews
	asking  singleflight.Group

	mu      sync.Mutex
	answers map[question]answer
}

// question is one thing to do with one kind of thing.
type question struct {
	atom
	namespace, verb string
}

// newQuestion asks as a request would: one that creates, or deletes many, has no name when it is judged.
func newQuestion(a atom, namespace, verb string) question {
	if verb == "create" || verb == "deletecollection" {
		a.name = ""
	}
	return question{atom: a, namespace: namespace, verb: verb}
}

type answer struct {
	allowed bool
	at      time.Time
}

// NewReviewer returns a Reviewer that asks by reviews.
func NewReviewer(reviews Reviews) *Reviewer {
	return &Reviewer{reviews: reviews, answers: map[question]answer{}}
}

// Missing returns those of the needs that the API server does not grant, each with a rule that says no more than what is missing.
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
	for _, a := range atoms(need.Rule) {
		for _, verb := range need.Rule.Verbs {
			asking.Go(func() error {
				allowed, err := r.allowed(ctx, newQuestion(a, need.Namespace, verb))
				if err != nil || allowed {
					return err
				}
				mu.Lock()
				defer mu.Unlock()
				if denied[a] == nil {
					denied[a] = map[string]bool{}
				}
				denied[a][verb] = true
				return nil
			})
		}
	}
	if err := asking.Wait(); err != nil {
		return nil, err
	}
	return denied.rules(), nil
}

// allowed answers one question, from memory if it was asked a moment ago.
func (r *Reviewer) allowed(ctx context.Context, q question) (bool, error) {
	r.mu.Lock()
	known, ok := r.answers[q]
	r.mu.Unlock()
	if ok && time.Since(known.at) < answerAge {
		return known.allowed, nil
	}
	for {
		result, err, _ := r.asking.Do(fmt.Sprintf("%q", q), func() (any, error) { return r.ask(ctx, q) })
		if err == nil {
			allowed, _ := result.(bool)
			return allowed, nil
		}
		if ctx.Err() != nil || !errors.Is(err, context.Canceled) {
			return false, err
		}
		// Whoever asked for both has gone: ask again.
	}
}

func (r *Reviewer) ask(ctx context.Context, q question) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, reviewTimeout)
	defer cancel()
	review, err := r.reviews.Create(ctx, q.review(), metav1.CreateOptions{})
	if err != nil {
		return false, fmt.Errorf("asking the API server for the rights of this client: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for q, a := range r.answers {
		if time.Since(a.at) >= answerAge {
			delete(r.answers, q)
		}
	}
	r.answers[q] = answer{allowed: review.Status.Allowed, at: time.Now()}
	return review.Status.Allowed, nil
}

func (q question) review() *authorizationv1.SelfSubjectAccessReview {
	spec := authorizationv1.SelfSubjectAccessReviewSpec{}
	if q.url != "" {
		spec.NonResourceAttributes = &authorizationv1.NonResourceAttributes{Path: q.url, Verb: q.verb}
	} else {
		resource, subresource := splitResource(q.resource)
		spec.ResourceAttributes = &authorizationv1.ResourceAttributes{
			Namespace: q.namespace, Verb: q.verb, Group: q.group, Resource: resource, Subresource: subresource, Name: q.name,
		}
	}
	return &authorizationv1.SelfSubjectAccessReview{Spec: spec}
}
