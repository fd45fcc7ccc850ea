package events

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	eventsclient "k8s.io/client-go/kubernetes/typed/events/v1"
	"k8s.io/client-go/rest"
	clientevents "k8s.io/client-go/tools/events"
)

var (
	errNoConnection = errors.New("no connection")
	errNotLeading   = errors.New("not leading")
)

var asJSON = rest.ContentConfig{ContentType: "application/json"}

// store is a server that has events, or a reason not to answer.
type store struct {
	mu       sync.Mutex
	events   map[string]*eventsv1.Event
	requests []string // method and reason
	fail     func(n int) error
	closed   string // a namespace in which nothing can be written at this time
}

func newStore() *store {
	return &store{events: map[string]*eventsv1.Event{}, fail: func(int) error { return nil }}
}

func (s *store) client(t *testing.T) eventsclient.EventsV1Interface {
	t.Helper()
	client, err := eventsclient.NewForConfig(&rest.Config{Host: "https://fake.invalid", QPS: -1, ContentConfig: asJSON, Transport: roundTripper(s.serve)})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func (s *store) serve(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	if err := s.fail(len(s.requests)); err != nil {
		s.requests = append(s.requests, r.Method)
		return answer(r, err)
	}
	if s.closed != "" && strings.Contains(r.URL.Path, "/namespaces/"+s.closed+"/") {
		s.requests = append(s.requests, r.Method+" in "+s.closed)
		return answer(r, apierrors.NewInternalError(errNoConnection))
	}
	resource := schema.GroupResource{Resource: "events"}
	event := s.events[path.Base(r.URL.Path)]
	switch {
	case r.Method == http.MethodPost:
		event = &eventsv1.Event{}
		if err := json.Unmarshal(body, event); err != nil {
			return nil, err
		}
		s.requests = append(s.requests, "POST "+event.Reason)
		if s.events[event.Name] != nil {
			return answer(r, apierrors.NewAlreadyExists(resource, event.Name))
		}
		s.events[event.Name] = event
	case event == nil:
		s.requests = append(s.requests, r.Method)
		return answer(r, apierrors.NewNotFound(resource, path.Base(r.URL.Path)))
	default:
		s.requests = append(s.requests, "PATCH "+event.Reason)
		if err := json.Unmarshal(body, event); err != nil {
			return nil, err
		}
	}
	return answer(r, event)
}

func answer(r *http.Request, what any) (*http.Response, error) {
	code := http.StatusOK
	switch of := what.(type) {
	case *apierrors.StatusError:
		code, what = int(of.ErrStatus.Code), of.ErrStatus
	case error:
		return nil, of
	}
	body, err := json.Marshal(what)
	if err != nil {
		return nil, err
	}
	return &http.Response{
		StatusCode: code, Request: r, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(bytes.NewReader(body)),
	}, nil
}

// all are the requests so far.
func (s *store) all() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// stored are the events that there are.
func (s *store) stored() map[string]*eventsv1.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.events)
}

// inWriter runs a test with a Writer that runs.
func inWriter(t *testing.T, opts Options, test func(t *testing.T, w *Writer)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := NewWriter(opts)
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { w.Run(ctx) })
		test(t, w)
		cancel()
		running.Wait()
	})
}

func pod(name string) *corev1.Pod {
	return &corev1.Pod{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name, UID: types.UID(name)},
	}
}

func warn(r clientevents.EventRecorder, name, reason, note string) {
	r.Eventf(pod(name), nil, corev1.EventTypeWarning, reason, "Test", "%s", note)
}

// TestRepeatedEvents records one event each second for an hour.
func TestRepeatedEvents(t *testing.T) {
	inWriter(t, Options{}, func(t *testing.T, w *Writer) {
		s := newStore()
		r := w.Recorder("d", s.client(t), nil)
		for range 3600 {
			warn(r, "a", "Failed", "always the same")
			time.Sleep(time.Second)
		}
		if n := len(s.all()); n < 2 || n > 10 || len(s.stored()) != 1 {
			t.Fatalf("%d requests for %d events: %q", n, len(s.stored()), s.all())
		}
		for _, event := range s.stored() {
			if event.Series == nil || event.Series.Count < 3000 {
				t.Errorf("the series is %+v", event.Series)
			}
		}
		warn(r, "a", "Other", "this is new")
		time.Sleep(time.Second)
		if last := s.all()[len(s.all())-1]; last != "POST Other" {
			t.Errorf("the last request is %s", last)
		}
	})
}

// TestEventsOfTheNextProcess records what another process has recorded before.
func TestEventsOfTheNextProcess(t *testing.T) {
	s := newStore()
	for want := int32(1); want < 4; want++ {
		inWriter(t, Options{}, func(t *testing.T, w *Writer) {
			time.Sleep(time.Duration(want) * time.Minute) // Each begins at the same time.
			warn(w.ChangeRecorder("d", s.client(t), nil), "a", "Failed", "the same")
			time.Sleep(time.Second)
		})
		if len(s.stored()) != 1 {
			t.Fatalf("there are %d events: %q", len(s.stored()), s.all())
		}
		for _, event := range s.stored() {
			if want > 1 && (event.Series == nil || event.Series.Count != want) {
				t.Errorf("the series is %+v, want %d", event.Series, want)
			}
		}
	}
}

// TestChangesAreWritten records a state that comes and goes, with another note at last.
func TestChangesAreWritten(t *testing.T) {
	inWriter(t, Options{}, func(t *testing.T, w *Writer) {
		s := newStore()
		r := w.ChangeRecorder("d", s.client(t), nil)
		for _, note := range []string{"x", "x", "y"} {
			warn(r, "a", "Failed", note)
			time.Sleep(time.Second)
		}
		if want := []string{"POST Failed", "PATCH Failed", "POST Failed"}; !slices.Equal(s.all(), want) {
			t.Errorf("requests %q, want %q", s.all(), want)
		}
		s.mu.Lock()
		clear(s.events) // They have expired.
		s.mu.Unlock()
		warn(r, "a", "Failed", "y")
		time.Sleep(time.Second)
		if got, want := s.all()[3:], []string{"PATCH", "POST Failed"}; !slices.Equal(got, want) {
			t.Errorf("requests after the expiry %q, want %q", got, want)
		}
	})
}

// TestNormalEventsLeaveRoom lets one definition record as many normal events as it can, before it
// and another one warn.
func TestNormalEventsLeaveRoom(t *testing.T) {
	inWriter(t, Options{}, func(t *testing.T, w *Writer) {
		s := newStore()
		loud, quiet := w.Recorder("loud", s.client(t), nil), w.Recorder("quiet", s.client(t), nil)
		const loudEvents = 10_000
		for i := range loudEvents {
			loud.Eventf(pod(fmt.Sprint("pod-", i)), nil, corev1.EventTypeNormal, "Said", "Say", "%d", i)
		}
		warn(loud, "a", "Failed", "x")
		warn(quiet, "a", "Failed", "x")
		time.Sleep(time.Second)
		counts := map[string]int{}
		for _, event := range s.stored() {
			counts[event.ReportingController+" "+event.Type]++
		}
		if counts["kooperd.dev/loud Warning"] != 1 || counts["kooperd.dev/quiet Warning"] != 1 || counts["kooperd.dev/loud Normal"] != Burst {
			t.Errorf("events: %v", counts)
		}
	})
}

// TestTries has a server that does not answer for a while, refuses for good, or never answers.
func TestTries(t *testing.T) {
	for name, tc := range map[string]struct {
		fail func(n int) error
		want int // events
		most int // requests
	}{
		"an outage": {fail: func(n int) error {
			if n < 4 {
				return errNoConnection
			}
			return nil
		}, want: 1, most: 5},
		"a refusal": {fail: func(int) error {
			return apierrors.NewForbidden(schema.GroupResource{Resource: "events"}, "", errNotLeading)
		}, most: 1},
		"not leading":  {fail: func(int) error { return errNotLeading }, most: 1},
		"never a word": {fail: func(int) error { return errNoConnection }, most: 20},
	} {
		t.Run(name, func(t *testing.T) {
			opts := Options{Refused: func(err error) bool { return errors.Is(err, errNotLeading) }}
			inWriter(t, opts, func(t *testing.T, w *Writer) {
				s := newStore()
				s.fail = tc.fail
				warn(w.Recorder("d", s.client(t), nil), "a", "Failed", "x")
				time.Sleep(time.Hour)
				if n := len(s.all()); len(s.stored()) != tc.want || n > tc.most || n == 0 {
					t.Errorf("%d events after %d requests", len(s.stored()), n)
				}
			})
		})
	}
}

// TestLostAnswer makes an event whose answer does not arrive.
func TestLostAnswer(t *testing.T) {
	inWriter(t, Options{}, func(t *testing.T, w *Writer) {
		s, lost := newStore(), false
		client, err := eventsclient.NewForConfig(&rest.Config{Host: "https://fake.invalid", ContentConfig: asJSON, Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			resp, err := s.serve(r)
			if !lost {
				lost = true
				return nil, errNoConnection
			}
			return resp, err
		})})
		if err != nil {
			t.Fatal(err)
		}
		warn(w.ChangeRecorder("d", client, nil), "a", "Failed", "x")
		time.Sleep(time.Minute)
		for _, event := range s.stored() {
			if event.Series != nil {
				t.Errorf("an event that was recorded once is counted: %+v", event.Series)
			}
		}
		if len(s.stored()) != 1 {
			t.Errorf("%d events", len(s.stored()))
		}
	})
}

// TestLastEventsOfADefinition removes a definition whose last event has to be sent twice, and then
// records another one.
func TestLastEventsOfADefinition(t *testing.T) {
	for again, want := range map[bool]int{false: 1, true: 2} {
		t.Run(fmt.Sprintf("added again %t", again), func(t *testing.T) {
			inWriter(t, Options{}, func(t *testing.T, w *Writer) {
				s := newStore()
				s.fail = func(n int) error {
					if n == 0 {
						return errNoConnection
					}
					return nil
				}
				r := w.Recorder("d", s.client(t), nil)
				warn(r, "a", "Failed", "x")
				w.Remove("d")
				if again {
					r = w.Recorder("d", s.client(t), nil)
				}
				time.Sleep(grace - time.Nanosecond)
				if len(s.stored()) != 1 {
					t.Errorf("%d events were sent in time, want 1", len(s.stored()))
				}
				time.Sleep(time.Nanosecond)
				synctest.Wait()
				warn(r, "b", "Failed", "x")
				time.Sleep(time.Minute)
				if len(s.stored()) != want {
					t.Errorf("%d events were sent, want %d", len(s.stored()), want)
				}
				if have := len(w.Definitions()); have != want-1 {
					t.Errorf("%d definitions are left", have)
				}
			})
		})
	}
}

// TestNames has objects and texts that the API server would not take as they are.
func TestNames(t *testing.T) {
	inWriter(t, Options{}, func(t *testing.T, w *Writer) {
		s := newStore()
		r := w.Recorder(strings.Repeat("d", 63), s.client(t), nil)
		warn(r, "system:node", "Failed", strings.Repeat("long ", 1000))
		warn(r, strings.Repeat("a", 250), strings.Repeat("Reason", 100), "x")
		time.Sleep(time.Second)
		if len(s.stored()) != 2 {
			t.Fatalf("%d events", len(s.stored()))
		}
		for name, event := range s.stored() {
			if len(name) > 253 || strings.Contains(name, ":") || len(event.Note) > 1024 || len(event.Reason) > 128 || len(event.ReportingInstance) > 128 {
				t.Errorf("event %s: %+v", name, event)
			}
		}
	})
}
