package election

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
)

// server keeps one Lease in memory, with resourceVersions, UIDs, conflicts and watches as the API
// server has them. It exists to drive the state machine through every answer and every fault;
// whether the API server really behaves like it is tested against a real one elsewhere.
type server struct {
	mu      sync.Mutex
	rv      int
	uid     int
	lease   *coordinationv1.Lease
	watches map[*stream]struct{}
	writes  []storedWrite
}

// storedWrite is one change of the Lease, for the tests to look at.
type storedWrite struct {
	at   time.Time
	rec  record
	from *link // nil when the test did it
}

const (
	testNamespace = "kooper-system"
	testName      = "kooperd"
)

var leases = schema.GroupResource{Group: "coordination.k8s.io", Resource: "leases"}

func newServer() *server { return &server{watches: map[*stream]struct{}{}} }

func (s *server) get() (*coordinationv1.Lease, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lease == nil {
		return nil, apierrors.NewNotFound(leases, testName)
	}
	return s.lease.DeepCopy(), nil
}

func (s *server) create(lease *coordinationv1.Lease, from *link) (*coordinationv1.Lease, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lease != nil {
		return nil, apierrors.NewAlreadyExists(leases, testName)
	}
	lease = lease.DeepCopy()
	s.uid++
	lease.UID = types.UID(strconv.Itoa(s.uid))
	return s.store(lease, watch.Added, from), nil
}

func (s *server) update(lease *coordinationv1.Lease, from *link) (*coordinationv1.Lease, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lease == nil || lease.UID != s.lease.UID || lease.ResourceVersion != s.lease.ResourceVersion {
		return nil, apierrors.NewConflict(leases, testName, errors.New("the object has been modified"))
	}
	return s.store(lease.DeepCopy(), watch.Modified, from), nil
}

// store must be called with the lock held.
func (s *server) store(lease *coordinationv1.Lease, kind watch.EventType, from *link) *coordinationv1.Lease {
	s.rv++
	lease.ResourceVersion = strconv.Itoa(s.rv)
	s.lease = lease
	s.writes = append(s.writes, storedWrite{at: time.Now(), rec: recordOf(lease), from: from})
	s.publish(kind, lease)
	return lease.DeepCopy()
}

// publish must be called with the lock held.
func (s *server) publish(kind watch.EventType, lease *coordinationv1.Lease) {
	for w := range s.watches {
		w.queue <- watch.Event{Type: kind, Object: lease.DeepCopy()}
	}
}

// edit is what kubectl does: a read and a write without regard to the holder.
func (s *server) edit(change func(*coordinationv1.Lease)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lease == nil {
		return
	}
	lease := s.lease.DeepCopy()
	change(lease)
	s.store(lease, watch.Modified, nil)
}

// put creates the Lease with the given spec.
func (s *server) put(spec coordinationv1.LeaseSpec) {
	lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: testNamespace, Name: testName}, Spec: spec}
	if _, err := s.create(lease, nil); err != nil {
		panic(err)
	}
}

// restore takes the storage back to when it held rec, with resourceVersions from before everything
// that happened since.
func (s *server) restore(rec record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rv = 2
	s.lease.ResourceVersion = "2"
	rec.writeTo(s.lease)
}

func (s *server) delete() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lease == nil {
		return
	}
	lease := s.lease
	s.lease = nil
	s.rv++
	lease.ResourceVersion = strconv.Itoa(s.rv)
	s.writes = append(s.writes, storedWrite{at: time.Now()})
	s.publish(watch.Deleted, lease)
}

func (s *server) record() record {
	lease, err := s.get()
	if err != nil {
		return record{}
	}
	return recordOf(lease)
}

func (s *server) history() []storedWrite {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]storedWrite(nil), s.writes...)
}

// fault is what happens to one request on its way.
type fault struct {
	before time.Duration // the request takes that long to reach the server
	after  time.Duration // and its reply to come back
	lost   bool          // the request never arrives
	mute   bool          // the request arrives, the reply does not
	err    error         // what the server answers instead of doing anything
}

// link is one client's connection to the server.
type link struct {
	server *server

	mu      sync.Mutex
	fault   func(verb string) fault // nil: none
	counts  map[string]int          // requests sent, by verb
	streams map[*stream]struct{}
	deaf    bool  // watches stand but deliver nothing
	noWatch error // what a watch is answered
}

func newLink(s *server) *link {
	return &link{server: s, counts: map[string]int{}, streams: map[*stream]struct{}{}}
}

func (l *link) setFault(f func(verb string) fault) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fault = f
}

// always is a fault that does not depend on the request.
func always(f fault) func(string) fault { return func(string) fault { return f } }

// only is a fault of one verb.
func only(verb string, f fault) func(string) fault {
	return func(v string) fault {
		if v == verb {
			return f
		}
		return fault{}
	}
}

// cut makes the network silent in both directions, watches included; mend ends that, and the
// watches with it.
func (l *link) cut() {
	l.setFault(always(fault{lost: true}))
	l.mu.Lock()
	defer l.mu.Unlock()
	l.deaf = true
}

func (l *link) mend() {
	l.setFault(nil)
	l.mu.Lock()
	l.deaf = false
	l.mu.Unlock()
	l.endWatches()
}

func (l *link) endWatches() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for s := range l.streams {
		s.end()
	}
}

func (l *link) count(verb string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.counts[verb]
}

func (l *link) begin(verb string) fault {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts[verb]++
	if l.fault == nil {
		return fault{}
	}
	return l.fault(verb)
}

// carry brings a request to the server and the reply back. What has been sent arrives even if the
// client has given up.
func (l *link) carry(ctx context.Context, verb string, do func() (*coordinationv1.Lease, error)) (*coordinationv1.Lease, error) {
	type answer struct {
		lease *coordinationv1.Lease
		err   error
	}
	f := l.begin(verb)
	answers := make(chan answer, 1)
	if !f.lost {
		go func() {
			time.Sleep(f.before)
			a := answer{err: f.err}
			if f.err == nil {
				a.lease, a.err = do()
			}
			if f.mute {
				return
			}
			time.Sleep(f.after)
			answers <- a
		}()
	}
	select {
	case a := <-answers:
		return a.lease, a.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (l *link) Get(ctx context.Context, namespace, name string) (*coordinationv1.Lease, error) {
	return l.carry(ctx, "get", l.server.get)
}

func (l *link) Create(ctx context.Context, lease *coordinationv1.Lease) (*coordinationv1.Lease, error) {
	return l.carry(ctx, "create", func() (*coordinationv1.Lease, error) { return l.server.create(lease, l) })
}

func (l *link) Update(ctx context.Context, lease *coordinationv1.Lease) (*coordinationv1.Lease, error) {
	return l.carry(ctx, "update", func() (*coordinationv1.Lease, error) { return l.server.update(lease, l) })
}

func (l *link) Watch(ctx context.Context, namespace, name string) (watch.Interface, error) {
	f := l.begin("watch")
	if f.lost {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	l.mu.Lock()
	refusal := l.noWatch
	l.mu.Unlock()
	if f.err != nil || refusal != nil {
		return nil, errors.Join(f.err, refusal)
	}
	s := &stream{link: l, queue: make(chan watch.Event, 10000), out: make(chan watch.Event), stop: make(chan struct{})}
	l.server.mu.Lock()
	if lease := l.server.lease; lease != nil {
		s.queue <- watch.Event{Type: watch.Added, Object: lease.DeepCopy()}
	}
	l.server.watches[s] = struct{}{}
	l.server.mu.Unlock()
	l.mu.Lock()
	l.streams[s] = struct{}{}
	l.mu.Unlock()
	go s.run()
	return s, nil
}

// stream is one watch.
type stream struct {
	link  *link
	queue chan watch.Event
	out   chan watch.Event
	stop  chan struct{}
	once  sync.Once
}

func (s *stream) run() {
	defer close(s.out)
	for {
		select {
		case <-s.stop:
			return
		case event := <-s.queue:
			s.link.mu.Lock()
			deaf := s.link.deaf
			s.link.mu.Unlock()
			if deaf {
				continue
			}
			select {
			case s.out <- event:
			case <-s.stop:
				return
			}
		}
	}
}

func (s *stream) end() { s.once.Do(func() { close(s.stop) }) }

func (s *stream) Stop() {
	s.end()
	s.link.server.mu.Lock()
	delete(s.link.server.watches, s)
	s.link.server.mu.Unlock()
	s.link.mu.Lock()
	delete(s.link.streams, s)
	s.link.mu.Unlock()
}

func (s *stream) ResultChan() <-chan watch.Event { return s.out }
