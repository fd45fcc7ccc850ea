package kube

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"kooperd.dev/kooperd/pkg/status"
)

// inBubble runs a test with a rig in a synctest bubble, where waiting takes no time, and ends the
// rig's source.
func inBubble(t *testing.T, test func(t *testing.T, r *rig), adjust ...func(*rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, adjust...)
		defer r.served.Close() // a request of discovery belongs to no source, and outlives it
		synctest.Wait()
		test(t, r)
		began := time.Now()
		r.stop()
		<-r.stopped
		if took := time.Since(began); took != 0 {
			t.Errorf("the source took %s to stop", took)
		}
	})
}

func expectStates(t *testing.T, r *rig, want ...status.State) {
	t.Helper()
	words := make([]string, 0, len(want))
	for _, state := range want {
		words = append(words, string(state))
	}
	if diff := cmp.Diff(words, append([]string{}, r.takeStates()...)); diff != "" {
		t.Errorf("states (-want +got):\n%s", diff)
	}
}

func expectEvents(t *testing.T, r *rig, want ...string) {
	t.Helper()
	if diff := cmp.Diff(append([]string{}, want...), append([]string{}, r.takeEvents()...)); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func TestSourceStreamsItsFirstList(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		expectStates(t, r, status.Running)
		expectEvents(t, r, "listed a", "listed b")
		if lists := r.takeLists(); len(lists) != 0 {
			t.Errorf("a plain list was made: %v", lists)
		}
		watches := r.takeWatches()
		if len(watches) != 1 || watches[0].LabelSelector != "app" || watches[0].SendInitialEvents == nil {
			t.Errorf("watches %v, want one streaming list with the selector", watches)
		}
		r.send(watch.Modified, pod("a@101"))
		r.send(watch.Added, pod("c@102"))
		r.send(watch.Deleted, pod("b@103"))
		synctest.Wait()
		expectEvents(t, r, "changed a", "changed c", "deleted b")
		if n := r.metric("kooperd_source_cached_objects"); n != 2 {
			t.Errorf("%v objects are said to be cached, want 2", n)
		}
		if lists, restarts := r.metric("kooperd_source_lists_total"), r.metric("kooperd_source_watch_restarts_total"); lists != 1 || restarts != 0 {
			t.Errorf("%v lists and %v restarts are counted, want 1 and 0", lists, restarts)
		}
	}, func(r *rig) { r.pods = []string{"a@1", "b@2"} })
}

// The API server ends every watch after some minutes. That is no event for anyone.
func TestSourceGoesOnWhereTheWatchEnded(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.send(watch.Added, pod("a@150"))
		time.Sleep(5 * time.Minute)
		r.takeStates()
		r.takeWatches()
		r.hangUp()
		synctest.Wait()
		if got := versions(r.takeWatches()); !slices.Equal(got, []string{"150"}) {
			t.Errorf("the next watch is from %v, want 150", got)
		}
		expectStates(t, r)
		if n := r.metric("kooperd_source_watch_restarts_total"); n != 1 {
			t.Errorf("%v restarts are counted, want 1", n)
		}
	})
}

// An API server that is away or busy is asked again for the same watch; nothing is listed anew.
func TestSourceResumesItsWatch(t *testing.T) {
	tests := map[string]struct {
		err  error
		want string
	}{
		"connection refused": {errRefused, "the API server cannot be reached: dial 10.0.0.1:6443: connect: connection refused"},
		"too many requests":  {errTooMany, "the API server answers: Too many requests: come back later"},
		"out of service":     {errDown, "the API server answers: starting"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, r *rig) {
				r.send(watch.Added, pod("a@150"))
				time.Sleep(time.Minute)
				expectStates(t, r, status.Running)
				r.takeEvents()
				r.edit(func() { r.noWatch, r.asked = tc.err, nil })
				r.hangUp()
				time.Sleep(3 * time.Minute)
				if state, reason := r.stateAndReason(); state != status.Degraded || reason != tc.want {
					t.Errorf("status %s: %s, want %s", state, reason, tc.want)
				}
				expectStates(t, r, status.Degraded)
				expectBackoff(t, r.askedTimes())
				r.takeWatches()
				r.edit(func() { r.noWatch = nil })
				time.Sleep(maxBackoff)
				expectStates(t, r, status.Running)
				if got := versions(r.takeWatches()); !slices.Equal(got, []string{"150"}) {
					t.Errorf("the watch goes on from %v, want 150", got)
				}
				if lists := r.takeLists(); len(lists) != 0 || r.metric("kooperd_source_lists_total") != 1 {
					t.Errorf("everything was listed again: %v", lists)
				}
				expectEvents(t, r)

				r.edit(func() { r.noWatch, r.asked = tc.err, nil }) // The next outage is another one.
				r.hangUp()
				time.Sleep(time.Second)
				if tries := r.askedTimes(); len(tries) < 3 {
					t.Errorf("%d tries in the first second of the next outage", len(tries))
				}
			})
		})
	}
}

// A source must not wait for its turn to be asked to stop.
func TestSourceStopsWhileItWaits(t *testing.T) {
	for name, adjust := range map[string]func(*rig){
		"for the API server":  func(r *rig) { r.noWatch = errRefused },
		"for a right":         func(r *rig) { r.noWatch, r.noList = errForbidden, errForbidden },
		"for a streaming end": func(r *rig) { r.noMark = true },
		"for its kind": func(r *rig) {
			r.docs.answer = func(context.Context, string) (*metav1.APIResourceList, error) { return nil, errNotFound }
		},
		"for discovery": func(r *rig) {
			r.docs.answer = func(ctx context.Context, _ string) (*metav1.APIResourceList, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, after := range []time.Duration{3 * time.Second, 17 * time.Second} {
				inBubble(t, func(*testing.T, *rig) { time.Sleep(after) }, adjust)
			}
		})
	}
}

// expectBackoff checks that tries grow apart up to the limit.
func expectBackoff(t *testing.T, tries []time.Duration) {
	t.Helper()
	if len(tries) < 8 {
		t.Fatalf("%d tries are too few to judge", len(tries))
	}
	for i := 1; i < len(tries); i++ {
		most := min(minBackoff<<(i-1), maxBackoff)
		if gap := tries[i] - tries[i-1]; gap < most/2 || gap > most {
			t.Errorf("try %d came %s after the one before, want %s to %s", i, gap, most/2, most)
		}
	}
}

func (r *rig) askedTimes() []time.Duration { return take(r, &r.asked) }

// Without the right to watch, lists succeed. That is not success, and the state does not flap with
// each of them.
func TestSourceThatMayOnlyList(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		time.Sleep(5 * time.Minute)
		expectStates(t, r, status.Degraded)
		if _, reason := r.stateAndReason(); !strings.HasPrefix(reason, "forbidden to list and watch pods in namespace payments; ") {
			t.Errorf("reason %q", reason)
		}
		lists := r.metric("kooperd_source_lists_total")
		if lists < 20 || lists > 70 {
			t.Errorf("%v lists in five minutes, want one in at most %s", lists, maxBackoff)
		}
		r.edit(func() { r.noWatch = nil })
		time.Sleep(maxBackoff)
		expectStates(t, r, status.Running)
	}, func(r *rig) { r.noWatch = errForbidden })
}

func TestSourceForbidden(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		time.Sleep(time.Minute)
		expectStates(t, r, status.Degraded)
		r.edit(func() { r.noWatch, r.noList, r.pods = nil, nil, []string{"a@1"} })
		time.Sleep(maxBackoff)
		expectStates(t, r, status.Running)
		expectEvents(t, r, "listed a")
	}, func(r *rig) { r.noWatch, r.noList = errForbidden, errForbidden })
}

// A version that is too old costs a list and nothing else.
func TestSourceListsAgainWhenItsVersionExpired(t *testing.T) {
	for name, expire := range map[string]func(*rig){
		"as an event": func(r *rig) { r.send(watch.Error, &errExpired.ErrStatus) },
		"as the answer": func(r *rig) {
			r.edit(func() { r.noWatch = errExpired })
			r.hangUp()
			synctest.Wait()
			r.edit(func() { r.noWatch = nil })
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, r *rig) {
				r.send(watch.Added, pod("b@150"))
				time.Sleep(time.Minute)
				r.takeStates()
				r.takeEvents()
				r.takeWatches()
				r.edit(func() { r.pods, r.version = []string{"a@1", "c@200"}, 210 })
				expire(r)
				time.Sleep(time.Second)
				expectEvents(t, r, "changed c", "deleted b")
				expectStates(t, r)
				if n := r.metric("kooperd_source_lists_total"); n != 2 {
					t.Errorf("%v lists are counted, want 2", n)
				}
				for _, version := range versions(append(r.takeWatches(), r.takeLists()...)) {
					if version == "0" || version == "" && name == "as an event" {
						t.Errorf("the next list may be older than the cache: from version %q", version)
					}
				}
			}, func(r *rig) { r.pods = []string{"a@1"} })
		})
	}
}

// A proxy that ends every watch at once makes the source list again and again: ever more slowly,
// and visibly.
func TestSourceWhoseWatchesAreCut(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		time.Sleep(5 * time.Minute)
		if state, reason := r.stateAndReason(); state != status.Degraded || reason != errCutWatch.Error() {
			t.Errorf("status %s: %s", state, reason)
		}
		expectStates(t, r, status.Running, status.Degraded)
		if n := r.metric("kooperd_source_lists_total"); n < 25 || n > 70 {
			t.Errorf("%v lists in five minutes, want one in at most %s", n, maxBackoff)
		}
		r.edit(func() { r.cut = false })
		time.Sleep(2 * maxBackoff)
		r.send(watch.Bookmark, r.bookmark(nil))
		synctest.Wait()
		expectStates(t, r, status.Running)
	}, func(r *rig) { r.cut = true })
}

func TestSourceErrorsThatDiscoveryKnows(t *testing.T) {
	clusterScoped := func(r *rig) {
		r.docs.answer = func(context.Context, string) (*metav1.APIResourceList, error) {
			return &metav1.APIResourceList{APIResources: []metav1.APIResource{
				{Name: "pods", Kind: "Pod", Verbs: metav1.Verbs{"list", "watch"}},
			}}, nil
		}
	}
	tests := map[string]struct {
		adjust func(*rig)
		want   string
	}{
		"cluster-scoped": {clusterScoped, "kind Pod is cluster-scoped: remove watch.namespaces"},
		"unreachable": {func(r *rig) {
			r.docs.answer = func(context.Context, string) (*metav1.APIResourceList, error) { return nil, errRefused }
		}, "the API server cannot be reached: dial 10.0.0.1:6443: connect: connection refused"},
		"no client": {func(r *rig) {
			r.fetch = func(resource, func(*object) *object) (fetcher, error) {
				return nil, errors.New("making the client of pods: no codec")
			}
		}, "making the client of pods: no codec"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, r *rig) {
				time.Sleep(time.Minute)
				if state, reason := r.stateAndReason(); state != status.Degraded || reason != tc.want {
					t.Errorf("status %s: %s, want Degraded: %s", state, reason, tc.want)
				}
				expectStates(t, r, status.Degraded)
			}, tc.adjust)
		})
	}
}
