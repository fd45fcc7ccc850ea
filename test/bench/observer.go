package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"

	"kooperd.dev/kooperd/test/bench/order"
)

// observer is a bare watch of parents and children that knows which of them are right: it says what
// a program has done, and when, by the same clock for all. It is safe for concurrent use; one
// goroutine may await something at a time.
type observer struct {
	mu    sync.Mutex
	order order.Order // what the children have to be like
	known map[string]*site
	right [levels]int   // how many parents are at a level, or above it
	news  chan struct{} // has a value when something has come since the last look
}

// site is one parent with its children.
type site struct {
	siteObject

	children map[string]child // by part
	level    level
	spoiled  time.Time         // when its children ceased to be right
	reached  [levels]time.Time // when it came to each level
}

// siteObject is what matters of a parent.
type siteObject struct {
	Metadata struct {
		UID        types.UID `json:"uid"`
		Generation int64     `json:"generation"`
	} `json:"metadata"`
	Spec   order.Spec `json:"spec"`
	Status struct {
		Observed   string             `json:"observed"`
		Conditions []metav1.Condition `json:"conditions"`
	} `json:"status"`
}

// child is what matters of one.
type child struct {
	owner, uid types.UID
	data       map[string]string
}

func newObserver(o order.Order) *observer {
	return &observer{order: o, known: map[string]*site{}, news: make(chan struct{}, 1)}
}

// begin watches from now on, in goroutines of the group, until ctx ends. There may be no parents
// and children yet.
func (w *observer) begin(ctx context.Context, group *errgroup.Group, s *scene) error {
	sites, maps := s.sites(w.order.KindOf(0)), s.client.CoreV1().ConfigMaps(namespace)
	siteList, err := sites.List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("listing parents: %w", err)
	}
	mapList, err := maps.List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("listing children: %w", err)
	}
	group.Go(func() error { return w.follow(ctx, siteList.GetResourceVersion(), sites.Watch) })
	group.Go(func() error { return w.follow(ctx, mapList.ResourceVersion, maps.Watch) })
	return nil
}

// follow notes all events after a version until ctx ends. The API server ends the watch of a client
// that does not keep up, as may happen to any on a busy machine: then another one goes on.
func (w *observer) follow(ctx context.Context, version string, open func(context.Context, metav1.ListOptions) (watch.Interface, error)) error {
	for ctx.Err() == nil {
		events, err := open(ctx, metav1.ListOptions{ResourceVersion: version})
		if err == nil {
			version, err = w.drain(events, version)
		}
		if err != nil && ctx.Err() == nil {
			return fmt.Errorf("watching: %w", err)
		}
	}
	return nil
}

// drain notes all events of one watch, and returns the version to go on from.
func (w *observer) drain(events watch.Interface, version string) (string, error) {
	defer events.Stop()
	for event := range events.ResultChan() {
		if err := w.note(event, time.Now()); err != nil {
			return version, err
		}
		if object, err := meta.Accessor(event.Object); err == nil {
			version = object.GetResourceVersion()
		}
	}
	return version, nil
}

// note notes one event.
func (w *observer) note(event watch.Event, at time.Time) error {
	switch object := event.Object.(type) {
	case *unstructured.Unstructured:
		var now siteObject
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &now); err != nil {
			return fmt.Errorf("reading a parent: %w", err)
		}
		w.change(object.GetName(), at, func(s *site) { s.siteObject = now })
	case *corev1.ConfigMap:
		cut := strings.LastIndexByte(object.Name, '-')
		if cut < 0 {
			return nil
		}
		w.change(object.Name[:cut], at, func(s *site) {
			if event.Type == watch.Deleted {
				delete(s.children, object.Name[cut+1:])
				return
			}
			s.children[object.Name[cut+1:]] = child{owner: ownerOf(object), uid: object.UID, data: object.Data}
		})
	default:
		return fmt.Errorf("unexpected %T in an event %s: %w", object, event.Type, apierrors.FromObject(event.Object))
	}
	return nil
}

// change changes what is known of a parent.
func (w *observer) change(name string, at time.Time, to func(*site)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.known[name]
	if s == nil {
		s = &site{children: map[string]child{}}
		w.known[name] = s
	}
	to(s)
	w.judge(s, at)
}

// judge finds out what is right of a parent now. The caller holds the lock.
func (w *observer) judge(s *site, at time.Time) {
	before := s.level
	s.level = s.judged(w.order)
	if before >= childrenRight && s.level < childrenRight {
		s.spoiled = at
	}
	for l := before + 1; l <= s.level; l++ {
		s.reached[l] = at
		w.right[l]++
	}
	for l := s.level + 1; l <= before; l++ {
		w.right[l]--
	}
	select {
	case w.news <- struct{}{}:
	default:
	}
}

// want says that the children have to be like those of another order from now on.
func (w *observer) want(o order.Order) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.order = o
	for _, s := range w.known {
		w.judge(s, time.Now())
	}
}

// await waits until something is so, of which the caller looks at under the lock.
func (w *observer) await(ctx context.Context, what string, so func() bool) error {
	ctx, cancel := context.WithTimeoutCause(ctx, reportTimeout, fmt.Errorf("not so after %s", reportTimeout))
	defer cancel()
	for {
		w.mu.Lock()
		is, right, of := so(), w.right[allRight], len(w.known)
		w.mu.Unlock()
		if is {
			return nil
		}
		select {
		case <-w.news:
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s, with %d parents of %d right: %w", what, right, of, context.Cause(ctx))
		}
	}
}

// awaitAll waits until so many parents are at a level, and returns when the last one came to it.
func (w *observer) awaitAll(ctx context.Context, parents int, l level) (time.Time, error) {
	err := w.await(ctx, fmt.Sprintf("%d parents to be right", parents), func() bool { return w.right[l] == parents })
	return w.lastReached(l), err
}

// lastReached returns when the last parent came to a level.
func (w *observer) lastReached(l level) time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	var last time.Time
	for _, s := range w.known {
		if s.reached[l].After(last) {
			last = s.reached[l]
		}
	}
	return last
}

// awaitMended waits until the children of a parent are right after they were not, since a moment,
// and returns how long they were not.
func (w *observer) awaitMended(ctx context.Context, name string, since time.Time) (time.Duration, error) {
	return w.awaitAfter(ctx, name, since, childrenRight)
}

// awaitAfter waits until a parent has come to a level after its children were not right, since a
// moment, and returns how long it took from then.
func (w *observer) awaitAfter(ctx context.Context, name string, since time.Time, l level) (time.Duration, error) {
	var took time.Duration
	err := w.await(ctx, "the children of "+name+" to be right again", func() bool {
		s := w.known[name]
		if s == nil || s.level < l || s.spoiled.Before(since) {
			return false
		}
		took = s.reached[l].Sub(s.spoiled)
		return true
	})
	return took, err
}

// awaitDone waits until a parent has come to a level, since a moment, and returns when that was.
func (w *observer) awaitDone(ctx context.Context, name string, since time.Time, l level) (time.Time, error) {
	var at time.Time
	err := w.await(ctx, name+" to be right", func() bool {
		s := w.known[name]
		if s == nil || s.level < l || s.reached[l].Before(since) {
			return false
		}
		at = s.reached[l]
		return true
	})
	return at, err
}
