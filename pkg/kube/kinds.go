package kube

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
)

const (
	// kindPollInterval is how often the API server is asked for a kind it does not serve. Reading one group's discovery
	// document is allowed to every authenticated identity and costs the server about as much as a health check;
	// watching CustomResourceDefinitions would need a right that a definition in one namespace does not have.
	kindPollInterval = 500 * time.Millisecond

	// kindAnswerAge is how long an answer is good for. Together with kindPollInterval it bounds how late a new kind is
	// noticed, which has to be less than a second.
	kindAnswerAge = 250 * time.Millisecond

	// kindRequestTimeout bounds one request for a discovery document.
	kindRequestTimeout = 5 * time.Second
)

// resource is how the API server serves a kind.
type resource struct {
	gvr        schema.GroupVersionResource
	namespaced bool
}

// notServedError means that the API server does not serve a kind at present.
type notServedError struct{ kind schema.GroupVersionKind }

func (e *notServedError) Error() string {
	return fmt.Sprintf("the API server does not serve kind %s of %s", e.kind.Kind, e.kind.GroupVersion())
}

func isNotServed(err error) bool {
	_, ok := errors.AsType[*notServedError](err)
	return ok
}

// discoveryError means that the API server did not say which kinds it serves.
type discoveryError struct {
	version schema.GroupVersion
	err     error
}

func (e *discoveryError) Error() string {
	return fmt.Sprintf("asking the API server for the kinds of %s: %v", e.version, e.err)
}

func (e *discoveryError) Unwrap() error { return e.err }

// kinds finds the resource of a kind. Concurrent questions about one group and version share one request, so the number
// of requests does not grow with the number of definitions.
type kinds struct {
	client discovery.ServerResourcesInterfaceWithContext

	mu    sync.Mutex
	calls map[schema.GroupVersion]*kindCall
}

// kindCall is one request for a group and version and its answer.
type kindCall struct {
	done chan struct{}

	// The fields below are written once, before done is closed, under the mutex of kinds.
	at        time.Time
	list      *metav1.APIResourceList
	err       error
	abandoned bool // who asked has gone before there was an answer
}

func newKinds(client discovery.ServerResourcesInterfaceWithContext) *kinds {
	return &kinds{client: client, calls: map[schema.GroupVersion]*kindCall{}}
}

// find returns the resource of a kind that can be listed and watched, or *notServedError.
func (k *kinds) find(ctx context.Context, kind schema.GroupVersionKind) (resource, error) {
	list, err := k.document(ctx, kind.GroupVersion())
	if apierrors.IsNotFound(err) {
		return resource{}, &notServedError{kind: kind}
	}
	if err != nil {
		return resource{}, &discoveryError{version: kind.GroupVersion(), err: err}
	}
	for _, r := range list.APIResources {
		if r.Kind != kind.Kind || strings.Contains(r.Name, "/") {
			continue
		}
		if !slices.Contains(r.Verbs, "list") || !slices.Contains(r.Verbs, "watch") {
			return resource{}, fmt.Errorf("kind %s of %s cannot be listed and watched", kind.Kind, kind.GroupVersion())
		}
		return resource{gvr: kind.GroupVersion().WithResource(r.Name), namespaced: r.Namespaced}, nil
	}
	return resource{}, &notServedError{kind: kind}
}

// document returns what the API server serves of a group and version, from the call under way or the latest answer.
func (k *kinds) document(ctx context.Context, gv schema.GroupVersion) (*metav1.APIResourceList, error) {
	for {
		call, mine := k.join(gv)
		if mine {
			k.ask(ctx, gv, call)
		}
		select {
		case <-call.done:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		if !call.abandoned || ctx.Err() != nil {
			return call.list, call.err
		}
	}
}

// join returns the call whose answer is good for gv; it is the caller's to make if mine is true.
func (k *kinds) join(gv schema.GroupVersion) (call *kindCall, mine bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	call = k.calls[gv]
	if call != nil && !call.abandoned && (call.at.IsZero() || time.Since(call.at) < kindAnswerAge) {
		return call, false
	}
	call = &kindCall{done: make(chan struct{})}
	k.calls[gv] = call
	return call, true
}

// ask makes the request for everyone who waits for it. When the asker's ctx ends before, the others ask anew.
func (k *kinds) ask(ctx context.Context, gv schema.GroupVersion, call *kindCall) {
	limited, cancel := context.WithTimeout(ctx, kindRequestTimeout)
	defer cancel()
	list, err := k.client.ServerResourcesForGroupVersionWithContext(limited, gv.String())
	k.mu.Lock()
	call.list, call.err, call.at = list, err, time.Now()
	call.abandoned = err != nil && ctx.Err() != nil
	k.mu.Unlock()
	close(call.done)
}
