package election

import (
	"context"
	"errors"
	"flag"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"kooperd.dev/kooperd/pkg/election"
	"kooperd.dev/kooperd/test/cluster"
)

var shared *cluster.Cluster

// conformance makes the suite as thorough as it is meant to be; without it, every case is run once
// or twice and waits for what must happen, however long that takes on a busy machine.
var conformance = flag.Bool("conformance", false, "repeat every case and hold times against their limits")

// testsAtOnce is how many tests may run at a time. They mostly wait, so the number of cores says
// little about it.
const testsAtOnce = "8"

func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", testsAtOnce); err != nil {
		panic(err)
	}
	os.Exit(cluster.Main(m, cluster.Options{}, &shared))
}

const leaseName = "kooperd"

// timings are those of an election.
type timings struct{ lease, renew, retry time.Duration }

var (
	fast     = timings{3 * time.Second, 2 * time.Second, time.Second}
	moderate = timings{6 * time.Second, 4 * time.Second, time.Second}
	standard = timings{15 * time.Second, 10 * time.Second, 2 * time.Second}
)

// testElector is one of our electors, running.
type testElector struct {
	*election.Elector
	t      *testing.T
	cancel context.CancelFunc
	terms  chan context.Context
	result chan error

	mu       sync.Mutex
	renewals []time.Duration
	failures int
	refusals int // failures because of the credentials
	reasons  []election.Reason
}

// start runs a candidate whose work stops as soon as it is asked to. It ends with the test at the
// latest.
func start(t *testing.T, config *rest.Config, namespace, identity string, at timings) *testElector {
	t.Helper()
	leases, err := election.NewLeaseClient(config, at.retry)
	if err != nil {
		t.Fatal(err)
	}
	c := &testElector{t: t, terms: make(chan context.Context, 1000), result: make(chan error, 1)}
	c.Elector, err = election.New(election.Options{
		Namespace: namespace, Name: leaseName, Identity: identity, Leases: leases,
		LeaseDuration: at.lease, RenewDeadline: at.renew, RetryPeriod: at.retry,
		Observer: election.Observer{Renewed: c.renewed, Lost: c.lost},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	c.cancel = cancel
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c.result <- c.Run(ctx, func(term context.Context) error {
			c.terms <- term
			select {
			case <-ctx.Done():
			case <-term.Done():
			}
			return nil
		})
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
		leases.Close()
	})
	return c
}

func (c *testElector) renewed(latency time.Duration, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.renewals = append(c.renewals, latency)
	if err != nil {
		c.failures++
	}
	if apierrors.IsUnauthorized(err) {
		c.refusals++
	}
}

func (c *testElector) lost(reason election.Reason, _ error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reasons = append(c.reasons, reason)
}

// leads waits for the candidate's term.
func (c *testElector) leads() context.Context {
	c.t.Helper()
	select {
	case term := <-c.terms:
		return term
	case err := <-c.result:
		c.t.Fatalf("Run returned %v before it led", err)
	case <-time.After(time.Minute):
		c.t.Fatalf("%s does not lead after a minute: %v", c.State(), c.Problem())
	}
	return nil
}

// stop ends the candidate in an orderly way.
func (c *testElector) stop() {
	c.t.Helper()
	c.cancel()
	if err := <-c.result; err != nil {
		c.t.Errorf("Run returned %v", err)
	}
}

// wantLost waits until the term is lost for the reason.
func (c *testElector) wantLost(reason election.Reason) {
	c.t.Helper()
	if err := <-c.result; !errors.Is(err, election.ErrLost) || errors.Is(err, election.ErrStuck) {
		c.t.Errorf("Run returned %v", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !slices.Equal(c.reasons, []election.Reason{reason}) {
		c.t.Errorf("reasons %v, want %s", c.reasons, reason)
	}
}

// getLease reads the Lease of a namespace, which must exist.
func getLease(t *testing.T, namespace string) *coordinationv1.Lease {
	t.Helper()
	lease, err := shared.Client().CoordinationV1().Leases(namespace).Get(t.Context(), leaseName, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return lease
}

func holderOf(lease *coordinationv1.Lease) string {
	if lease.Spec.HolderIdentity == nil {
		return ""
	}
	return *lease.Spec.HolderIdentity
}

// patch edits the Lease as kubectl patch --type=merge does.
func patch(t *testing.T, namespace, body string) {
	t.Helper()
	_, err := shared.Client().CoordinationV1().Leases(namespace).Patch(t.Context(), leaseName, types.MergePatchType, []byte(body), metav1.PatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
}

// overlap watches that at most one of some candidates leads at a time, until the returned function
// is called.
func overlap(t *testing.T, leading ...func() bool) (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case <-done:
				return
			case <-ticker.C:
			}
			// They are asked one after the other, and between two answers a term may end and
			// another begin. Those who lead before and after all were asked do so at a time.
			n := len(leaders(leaders(leading)))
			if n > 1 {
				t.Errorf("%d leaders at %s", n, time.Now().Format(time.RFC3339Nano))
				return
			}
		}
	}()
	return func() { close(done); <-ended }
}

// leaders returns those who lead.
func leaders(all []func() bool) []func() bool {
	return slices.DeleteFunc(slices.Clone(all), func(leads func() bool) bool { return !leads() })
}

// spreadOf returns the median and the largest of some measurements.
func spreadOf(values []time.Duration) (p50, largest time.Duration) {
	slices.Sort(values)
	return values[len(values)/2], values[len(values)-1]
}

// repeats is few, or many with -conformance.
func repeats(few, many int) int {
	if *conformance {
		return many
	}
	return few
}

// within fails the test if something took longer than its limit, with -conformance.
func within(t *testing.T, what string, got, limit time.Duration) {
	t.Helper()
	t.Logf("%s: %s", what, got)
	if *conformance && got > limit {
		t.Errorf("%s: %s, want at most %s", what, got, limit)
	}
}

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	limit := time.Now().Add(time.Minute)
	for !condition() {
		if time.Now().After(limit) {
			t.Fatalf("not within a minute: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// awaitWatch waits until the elector knows the lease and its watch stands.
func (c *testElector) awaitWatch() {
	c.t.Helper()
	last := time.Duration(-1)
	eventually(c.t, "its watch stands", func() bool {
		now := c.Unwatched()
		stands := now == last && c.Leader() != ""
		last = now
		return stands
	})
}

// awaitRenewals waits until n renewals more have succeeded.
func (c *testElector) awaitRenewals(n int) {
	c.t.Helper()
	count := func() int {
		c.mu.Lock()
		defer c.mu.Unlock()
		return len(c.renewals) - c.failures
	}
	want := count() + n
	eventually(c.t, "renewals", func() bool { return count() >= want || c.Remaining() == 0 })
}
