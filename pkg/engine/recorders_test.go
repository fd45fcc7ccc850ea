package engine

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

// roundTripper answers requests by a function.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestLastEventsOfADefinition removes a definition whose last event has to be sent twice, and then
// records another one.
func TestLastEventsOfADefinition(t *testing.T) {
	for name, test := range map[string]struct {
		then func(recs *recorders, config *rest.Config) error // right after the removal
		want int32
	}{
		"removed": {
			then: func(*recorders, *rest.Config) error { return nil }, want: 1,
		},
		"added again": {
			then: func(recs *recorders, config *rest.Config) error {
				_, err := recs.recorder("d", config)
				return err
			},
			want: 2,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var tries, sent atomic.Int32
				config := &rest.Config{Host: "https://fake.invalid", Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
					if tries.Add(1) == 1 {
						return nil, errors.New("no connection")
					}
					sent.Add(1)
					return &http.Response{
						StatusCode: http.StatusCreated, Header: http.Header{"Content-Type": {"application/json"}}, Request: r,
						Body: io.NopCloser(strings.NewReader(`{"kind": "Event", "apiVersion": "events.k8s.io/v1"}`)),
					}, nil
				})}
				recs := newRecorders()
				ctx, cancel := context.WithCancel(t.Context())
				var running sync.WaitGroup
				running.Go(func() { recs.run(ctx) })
				recorder, err := recs.recorder("d", config)
				if err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				record := func(pod string) {
					recorder.Eventf(&corev1.Pod{
						TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
						ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: pod},
					}, nil, corev1.EventTypeNormal, "Tested", "Testing", "as the test wants")
				}
				record("a")
				recs.remove("d")
				if err := test.then(recs, config); err != nil {
					t.Fatal(err)
				}
				time.Sleep(eventGrace - time.Nanosecond)
				if sent.Load() != 1 {
					t.Errorf("%d events were sent in time, want 1", sent.Load())
				}
				time.Sleep(time.Nanosecond)
				synctest.Wait()
				record("b")
				time.Sleep(time.Minute)
				if sent.Load() != test.want {
					t.Errorf("%d events were sent, want %d", sent.Load(), test.want)
				}
				if have := len(recs.sink.clients); have != int(test.want)-1 || len(recs.sink.leaving) > 0 {
					t.Errorf("%d clients are left, and %d are leaving", have, len(recs.sink.leaving))
				}
				cancel()
				running.Wait()
			})
		})
	}
}
