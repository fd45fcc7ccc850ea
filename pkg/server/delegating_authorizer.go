package server

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sync/singleflight"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilcache "k8s.io/apimachinery/pkg/util/cache"
	authenticationclient "k8s.io/client-go/kubernetes/typed/authentication/v1"
	authorizationclient "k8s.io/client-go/kubernetes/typed/authorization/v1"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
)

// How long an answer of the API server is used again, how many are kept, and how long one is
// awaited. A right that was taken away holds for a minute more, one that was given is seen after
// ten seconds: scrapes come every fifteen seconds or so and shall cost the API server next to
// nothing.
const (
	grantedFor    = time.Minute
	refusedFor    = 10 * time.Second
	keptDecisions = 256
	reviewTimeout = 8 * time.Second // less than readTimeout, which ends the request's context, and than a scrape's usual ten seconds
)

// The reviews a second that strangers can cause at most; those with a known token need none.
const (
	reviewsPerSecond = 20
	reviewsAtOnce    = 40
)

// DelegatingAuthorizer is an Authorizer that asks the API server. A TokenReview says whose the
// token is, and a SubjectAccessReview whether that user may do verb with the non-resource URL path,
// as for every Kubernetes component. Answers are kept for a short time under a keyed hash of the
// token. It is safe for concurrent use and has nothing to close.
type DelegatingAuthorizer struct {
	tokens  authenticationclient.TokenReviewInterface
	access  authorizationclient.SubjectAccessReviewInterface
	hashKey []byte
	decided *utilcache.LRUExpireCache // of decision, by digest
	flights singleflight.Group
}

var _ Authorizer = (*DelegatingAuthorizer)(nil)

// NewDelegatingAuthorizer returns an authorizer that asks the API server of config, which is
// copied. The process needs the right to create tokenreviews.authentication.k8s.io and
// subjectaccessreviews.authorization.k8s.io, which the ClusterRole system:auth-delegator gives. It
// contacts nothing.
func NewDelegatingAuthorizer(config *rest.Config) (*DelegatingAuthorizer, error) {
	config = rest.CopyConfig(config)
	config.QPS, config.Burst, config.RateLimiter = reviewsPerSecond, reviewsAtOnce, nil
	tokens, err := authenticationclient.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("making the client for token reviews: %w", err)
	}
	access, err := authorizationclient.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("making the client for access reviews: %w", err)
	}
	r := &DelegatingAuthorizer{
		tokens: tokens.TokenReviews(), access: access.SubjectAccessReviews(),
		hashKey: make([]byte, sha256.Size),
		decided: utilcache.NewLRUExpireCache(keptDecisions),
	}
	if _, err := rand.Read(r.hashKey); err != nil {
		return nil, fmt.Errorf("making a key for hashes: %w", err)
	}
	return r, nil
}

// errCallerGone is the error of a review whose first caller has gone; the others ask again.
var errCallerGone = errors.New("the request that asked has ended")

// Allow is the method of Authorizer. Equal requests that come at once share one review.
func (r *DelegatingAuthorizer) Allow(ctx context.Context, token, verb, path string) error {
	key := r.key(token, verb, path)
	for {
		_, err, _ := r.flights.Do(string(key[:]), func() (any, error) {
			if known, ok := r.known(key); ok {
				return nil, known.err
			}
			err := r.ask(ctx, token, verb, path)
			if ctx.Err() != nil {
				return nil, fmt.Errorf("%w: %w", errCallerGone, ctx.Err())
			}
			r.keep(key, err)
			return nil, err
		})
		if !errors.Is(err, errCallerGone) || ctx.Err() != nil {
			return err
		}
	}
}

// digest is what a token, a verb and a path are remembered by.
type digest [sha256.Size]byte

func (r *DelegatingAuthorizer) key(token, verb, path string) digest {
	mac := hmac.New(sha256.New, r.hashKey)
	for _, part := range []string{token, verb, path} {
		_, _ = fmt.Fprintf(mac, "%d:", len(part)) // Writing to a hash never fails.
		_, _ = io.WriteString(mac, part)
	}
	return digest(mac.Sum(nil))
}

// decision is an answer of the API server: nil allows the request.
type decision struct{ err error }

// known returns the decision that was made lately, if there is one.
func (r *DelegatingAuthorizer) known(key digest) (decision, bool) {
	value, ok := r.decided.Get(key)
	if !ok {
		return decision{}, false
	}
	d, ok := value.(decision)
	return d, ok
}

// keep remembers what the API server has decided; that it could not be asked is no decision.
func (r *DelegatingAuthorizer) keep(key digest, err error) {
	switch {
	case err == nil:
		r.decided.Add(key, decision{}, grantedFor)
	case errors.Is(err, ErrUnauthenticated), errors.Is(err, ErrForbidden):
		r.decided.Add(key, decision{err}, refusedFor)
	}
}

// ask asks the API server. client-go logs the bodies of requests from a certain verbosity on, and
// here they are tokens, so it gets a logger that keeps silent.
func (r *DelegatingAuthorizer) ask(ctx context.Context, token, verb, path string) error {
	ctx, cancel := context.WithTimeout(klog.NewContext(ctx, logr.Discard()), reviewTimeout)
	defer cancel()
	review, err := r.tokens.Create(ctx, &authenticationv1.TokenReview{
		Spec: authenticationv1.TokenReviewSpec{Token: token},
	}, metav1.CreateOptions{})
	if err != nil {
		return undecided("reviewing a token", token, err)
	}
	user := review.Status.User
	if !review.Status.Authenticated || user.Username == "" {
		return ErrUnauthenticated
	}
	extra := make(map[string]authorizationv1.ExtraValue, len(user.Extra))
	for k, v := range user.Extra {
		extra[k] = authorizationv1.ExtraValue(v)
	}
	answer, err := r.access.Create(ctx, &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User: user.Username, UID: user.UID, Groups: user.Groups, Extra: extra,
		NonResourceAttributes: &authorizationv1.NonResourceAttributes{Path: path, Verb: verb},
	}}, metav1.CreateOptions{})
	switch {
	case err != nil:
		return undecided("reviewing the access of "+user.Username, token, err)
	case !answer.Status.Allowed || answer.Status.Denied:
		return fmt.Errorf("%w: user %q may not %s %s", ErrForbidden, user.Username, verb, path)
	default:
		return nil
	}
}

// undecided is the error of a review that could not be made. Whatever the API server says, the
// token is not part of it.
func undecided(doing, token string, err error) error {
	text := strings.ReplaceAll(err.Error(), token, "[REDACTED]")
	if apierrors.IsForbidden(err) {
		return fmt.Errorf("%s: %w: %s", doing, ErrMayNotAsk, text)
	}
	return fmt.Errorf("%s: %s", doing, text)
}
