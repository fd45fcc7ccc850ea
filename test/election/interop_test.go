package election

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"

	"kooperd.dev/kooperd/pkg/election"
)

// foreign is a candidate of client-go's, as most controllers run one: it gives the Lease up when it
// is stopped.
type foreign struct {
	t       *testing.T
	elector *leaderelection.LeaderElector
	cancel  context.CancelFunc
	leading atomic.Bool
	terms   chan struct{}
	ended   chan struct{}
}

func startForeign(t *testing.T, client kubernetes.Interface, namespace, identity string, at timings, release bool) *foreign {
	t.Helper()
	f := &foreign{t: t, terms: make(chan struct{}, 1000), ended: make(chan struct{})}
	var err error
	f.elector, err = leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock: &resourcelock.LeaseLock{
			LeaseMeta:  metav1.ObjectMeta{Namespace: namespace, Name: leaseName},
			Client:     client.CoordinationV1(),
			LockConfig: resourcelock.ResourceLockConfig{Identity: identity},
		},
		LeaseDuration: at.lease, RenewDeadline: at.renew, RetryPeriod: at.retry, ReleaseOnCancel: release,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(ctx context.Context) {
				f.leading.Store(true)
				f.terms <- struct{}{}
				<-ctx.Done()
				f.leading.Store(false)
			},
			OnStoppedLeading: func() {},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	f.cancel = cancel
	go func() {
		defer close(f.ended)
		f.elector.Run(ctx)
	}()
	t.Cleanup(f.stop)
	return f
}

func (f *foreign) leads() {
	f.t.Helper()
	select {
	case <-f.terms:
	case <-time.After(time.Minute):
		f.t.Fatal("client-go's elector does not lead after a minute")
	}
}

func (f *foreign) stop() {
	f.cancel()
	<-f.ended
}

func TestClientGoReleases(t *testing.T) {
	t.Parallel()
	ns := shared.Namespace(t)
	f := startForeign(t, shared.Client(), ns, "client-go", moderate, true)
	f.leads()
	a := start(t, shared.AdminConfig(), ns, "kooperd", moderate)
	time.Sleep(2 * moderate.lease)
	if a.Leading() || a.Leader() != "client-go" {
		t.Fatalf("leading=%v beside %q", a.Leading(), a.Leader())
	}
	began := time.Now()
	f.stop()
	a.leads()
	within(t, "from client-go's release to kooperd's term", time.Since(began), 500*time.Millisecond)
	if got := *getLease(t, ns).Spec.LeaseTransitions; got != 1 {
		t.Errorf("leaseTransitions is %d", got)
	}
	a.stop()
}

func TestClientGoDies(t *testing.T) {
	t.Parallel()
	ns := shared.Namespace(t)
	f := startForeign(t, shared.Client(), ns, "client-go", fast, false)
	f.leads()
	a := start(t, shared.AdminConfig(), ns, "kooperd", fast)
	time.Sleep(fast.lease)
	stop := overlap(t, a.Leading, f.leading.Load)
	f.stop() // without a release it is as good as dead
	renewed := getLease(t, ns).Spec.RenewTime.Time
	a.leads()
	t.Logf("kooperd leads %s after client-go's last renewal", time.Since(renewed))
	// client-go cuts its times to whole seconds, so the renewal may have been a second later than
	// it says.
	if got := time.Since(renewed); got < fast.lease {
		t.Errorf("led after %s", got)
	}
	within(t, "the same", time.Since(renewed), fast.lease+1300*time.Millisecond)
	stop()
	a.stop()
}

func TestClientGoTakesOver(t *testing.T) {
	t.Parallel()
	ns := shared.Namespace(t)
	proxy := shared.Proxy(t)
	a := start(t, proxy.Config(shared.AdminConfig()), ns, "kooperd", moderate)
	a.leads()
	f := startForeign(t, shared.Client(), ns, "client-go", moderate, true)
	time.Sleep(2 * moderate.lease) // our renewals must look like renewals to it
	if f.leading.Load() || !a.Leading() {
		t.Fatalf("leading: client-go %v, kooperd %v", f.leading.Load(), a.Leading())
	}
	stop := overlap(t, a.Leading, f.leading.Load)
	proxy.Blackhole()
	f.leads()
	a.wantLost(election.ReasonDeadline)
	proxy.Heal()
	stop()

	b := start(t, shared.AdminConfig(), ns, "kooperd-again", moderate)
	time.Sleep(moderate.lease)
	if b.Leading() || b.Leader() != "client-go" {
		t.Errorf("leading=%v beside %q", b.Leading(), b.Leader())
	}
	f.stop()
	b.leads()

	g := startForeign(t, shared.Client(), ns, "client-go-again", moderate, true)
	time.Sleep(moderate.retry)
	b.stop() // released: client-go takes it at its next look
	g.leads()
	if got := *getLease(t, ns).Spec.LeaseTransitions; got != 3 {
		t.Errorf("leaseTransitions is %d after three changes", got)
	}
}

// Both kinds together, stopped and started at random: never two leaders, and never long without
// one.
func TestMixedReplicas(t *testing.T) {
	t.Parallel()
	ns := shared.Namespace(t)
	length := time.Duration(repeats(15, 60)) * time.Second
	var mu sync.Mutex
	leading := map[int]func() bool{}
	var checks []func() bool
	for i := range 4 {
		checks = append(checks, func() bool {
			mu.Lock()
			defer mu.Unlock()
			return leading[i] != nil && leading[i]()
		})
	}
	set := func(i int, f func() bool) {
		mu.Lock()
		defer mu.Unlock()
		leading[i] = f
	}
	stop := overlap(t, checks...)
	end := time.Now().Add(length)
	var terms [4]atomic.Int32
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			if i%2 == 0 {
				time.Sleep(time.Second) // ours is faster; let the other kind begin
			}
			for n := 0; time.Now().Before(end); n++ {
				identity := fmt.Sprintf("replica-%d-%d", i, n)
				life := time.Duration(rand.Int64N(int64(8 * time.Second)))
				if i%2 == 0 {
					a := start(t, shared.AdminConfig(), ns, identity, fast)
					set(i, a.Leading)
					time.Sleep(life)
					terms[i].Add(int32(len(a.terms)))
					a.stop()
				} else {
					f := startForeign(t, shared.Client(), ns, identity, fast, true)
					set(i, f.leading.Load)
					time.Sleep(life)
					terms[i].Add(int32(len(f.terms)))
					f.stop()
				}
			}
		})
	}
	wg.Wait()
	stop()
	var counts [4]int32
	for i := range counts {
		counts[i] = terms[i].Load()
	}
	t.Logf("terms: kooperd %d and %d, client-go %d and %d", counts[0], counts[2], counts[1], counts[3])
	if *conformance && (counts[0]+counts[2] == 0 || counts[1]+counts[3] == 0) {
		t.Error("one kind never led")
	}
}
