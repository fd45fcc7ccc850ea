package order

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Tally counts what the handlers of a program have done. It is safe for concurrent use.
type Tally struct {
	order    Order
	out      io.Writer
	profiles *profiles
	left     atomic.Int64
	seen     [][]atomic.Uint64 // one bit for each object, by definition
	decoding atomic.Int64

	stamped []stamps // by definition
}

// stamps are the changes that have come to one definition.
type stamps struct {
	mu      sync.Mutex
	seen    map[int64]bool
	samples []Sample
}

// NewTally returns the tally of a program and begins its CPU profile if one is ordered. It reports
// to out.
func NewTally(o Order, out io.Writer) (*Tally, error) {
	t := &Tally{order: o, out: out, profiles: &profiles{cpu: o.CPUProfile, heap: o.HeapProfile}}
	t.left.Store(int64(o.Definitions * o.Objects))
	t.seen = make([][]atomic.Uint64, o.Definitions)
	t.stamped = make([]stamps, o.Definitions)
	for i := range o.Definitions {
		t.seen[i] = make([]atomic.Uint64, (o.Objects+63)/64)
		t.stamped[i].seen = map[int64]bool{}
	}
	return t, t.profiles.begin()
}

// Decode runs what gets an object in its Go type, and notes the CPU time that it takes, without
// what the garbage collector does meanwhile on other threads.
func (t *Tally) Decode(get func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before, err := threadTime()
	if err != nil {
		return err
	}
	if err := get(); err != nil {
		return err
	}
	after, err := threadTime()
	t.decoding.Add(int64(after - before))
	return err
}

// threadTime is the CPU time that the calling thread has used.
func threadTime() (time.Duration, error) {
	var at unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &at); err != nil {
		return 0, fmt.Errorf("reading the CPU time: %w", err)
	}
	return time.Duration(at.Nano()), nil
}

// Handled notes that a definition has handled the object called name, which ends in its number from
// 0 on after a hyphen. A name without a number below Order.Objects is not counted; a second call
// for the same object counts nothing.
func (t *Tally) Handled(definition int, name string) {
	i, ok := t.number(name)
	if !ok {
		return
	}
	bit := uint64(1) << (i % 64)
	if t.seen[definition][i/64].Or(bit)&bit != 0 {
		return
	}
	if t.left.Add(-1) == 0 {
		t.report(time.Now())
	}
}

// Fails reports whether a call for the object called name is to fail.
func (t *Tally) Fails(name string) bool {
	i, ok := t.number(name)
	return ok && i < t.order.Failing
}

// number is that of the object called name.
func (t *Tally) number(name string) (int, bool) {
	i, err := strconv.Atoi(name[strings.LastIndexByte(name, '-')+1:])
	return i, err == nil && i >= 0 && i < t.order.Objects
}

// report says that everything has been handled. That the report cannot be written ends the
// benchmark by its timeout.
func (t *Tally) report(at time.Time) {
	var usage syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &usage) // It cannot fail with these arguments.
	err := json.NewEncoder(t.out).Encode(Report{
		At: at, CPU: time.Duration(usage.Utime.Nano() + usage.Stime.Nano()), Decoding: time.Duration(t.decoding.Load()),
	})
	if err := errors.Join(err, t.profiles.end()); err != nil {
		_, _ = fmt.Fprintf(os.Stderr, "bench: %v\n", err)
	}
}

// Stamped notes a change that came to a definition's handler at entered, by the value of its
// annotation; what has none, and a stamp that was seen before, is none. The caller has done its
// work for it.
func (t *Tally) Stamped(definition int, annotation string, entered time.Time) {
	sent, err := strconv.ParseInt(annotation, 10, 64)
	if err != nil || sent == 0 {
		return
	}
	done := time.Now()
	s := &t.stamped[definition]
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seen[sent] {
		return
	}
	s.seen[sent] = true
	s.samples = append(s.samples, Sample{Definition: definition, Sent: sent, Entered: entered.UnixNano(), Done: done.UnixNano()})
}

// Close ends the profiles and writes the samples, one definition after the other.
func (t *Tally) Close() error {
	if err := t.profiles.end(); err != nil {
		return err
	}
	if t.order.Samples == "" {
		return nil
	}
	samples := []Sample{}
	for i := range t.stamped {
		samples = append(samples, t.stamped[i].all()...)
	}
	data, err := json.Marshal(samples)
	if err != nil {
		return fmt.Errorf("writing the samples: %w", err)
	}
	if err := os.WriteFile(t.order.Samples, data, 0o600); err != nil {
		return fmt.Errorf("writing the samples: %w", err)
	}
	return nil
}

// all returns the samples, which must not be changed.
func (s *stamps) all() []Sample {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.samples
}
