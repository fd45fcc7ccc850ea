package election

import (
	"context"
	"fmt"
	"testing"
	"time"

	"kooperd.dev/kooperd/pkg/election"
	"kooperd.dev/kooperd/test/cluster"
)

// A firewall or a load balancer forgets connections without a notice.
func TestDeadConnectionsDoNotCostTheTerm(t *testing.T) {
	t.Parallel()
	ns := shared.Namespace(t)
	proxy := shared.Proxy(t)
	a := start(t, proxy.Config(shared.AdminConfig()), ns, "a", moderate)
	term := a.leads()
	lowest := moderate.renew
	n := repeats(2, 30)
	for range n {
		time.Sleep(moderate.retry + moderate.retry/4)
		proxy.Stall()
		for range 25 {
			time.Sleep(moderate.retry / 10)
			lowest = min(lowest, a.Remaining())
		}
		if term.Err() != nil {
			t.Fatalf("the term was lost: %v", context.Cause(term))
		}
	}
	a.mu.Lock()
	t.Logf("%d of %d terms kept; %d of %d renewals got no answer; at least %s of %s remained", n, n, a.failures, len(a.renewals), lowest, moderate.renew)
	if a.failures < n {
		t.Errorf("only %d renewals met a dead connection", a.failures)
	}
	a.mu.Unlock()
	a.stop()
}

func TestResetConnectionsDoNotCostTheTerm(t *testing.T) {
	t.Parallel()
	ns := shared.Namespace(t)
	proxy := shared.Proxy(t)
	a := start(t, proxy.Config(shared.AdminConfig()), ns, "a", standard)
	term := a.leads()
	for range repeats(6, 30) {
		time.Sleep(standard.retry / 3)
		proxy.Reset()
	}
	if term.Err() != nil {
		t.Errorf("the term was lost: %v", context.Cause(term))
	}
	a.stop()
}

// Whatever the network does to the leader, the standby leads only after the old term has ended, and
// does lead.
func TestPartitions(t *testing.T) {
	tests := map[string]func(*cluster.Proxy){
		"silent":       (*cluster.Proxy).Blackhole,
		"replies lost": (*cluster.Proxy).BlackholeReplies,
		"refused":      (*cluster.Proxy).Refuse,
		"slow and silent": func(p *cluster.Proxy) {
			p.DelayReplies(1500 * time.Millisecond)
			time.Sleep(3 * time.Second)
			p.Blackhole()
		},
		"slow requests": func(p *cluster.Proxy) { p.Delay(2500 * time.Millisecond) }, // they arrive after the elector has given up
		"slow replies":  func(p *cluster.Proxy) { p.DelayReplies(5 * time.Second) },
	}
	for name, fault := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ns := shared.Namespace(t)
			for i := range repeats(1, 3) {
				proxy := shared.Proxy(t)
				old := start(t, proxy.Config(shared.AdminConfig()), ns, fmt.Sprintf("old-%d", i), fast)
				old.leads()
				next := start(t, shared.AdminConfig(), ns, fmt.Sprintf("next-%d", i), fast)
				next.awaitWatch()
				stop := overlap(t, old.Leading, next.Leading)
				began := time.Now()
				fault(proxy)
				next.leads()
				t.Logf("the standby led %s after the fault began", time.Since(began))
				old.wantLost(election.ReasonDeadline)
				proxy.Heal() // what was on its way arrives now
				time.Sleep(2 * fast.retry)
				if !next.Leading() {
					t.Error("late requests of the old leader ended the new term")
				}
				stop()
				next.stop()
			}
		})
	}
}

func TestSlowRepliesDoNotCostTheTerm(t *testing.T) {
	t.Parallel()
	ns := shared.Namespace(t)
	proxy := shared.Proxy(t)
	a := start(t, proxy.Config(shared.AdminConfig()), ns, "a", standard)
	term := a.leads()
	time.Sleep(time.Second)
	proxy.DelayReplies(1500 * time.Millisecond)
	deadline := time.Now().Add(time.Duration(repeats(12, 20)) * time.Second)
	for time.Now().Before(deadline) {
		time.Sleep(100 * time.Millisecond)
		if term.Err() != nil {
			t.Fatalf("the term was lost: %v", context.Cause(term))
		}
	}
	proxy.DelayReplies(0)
	a.stop()
}

// A partition heals while the old leader is giving up, with three candidates: the case in which
// client-go's release erases the next holder.
func TestHealDuringTheEnd(t *testing.T) {
	t.Parallel()
	ns := shared.Namespace(t)
	for i := range repeats(1, 5) {
		proxy := shared.Proxy(t)
		old := start(t, proxy.Config(shared.AdminConfig()), ns, fmt.Sprintf("old-%d", i), fast)
		old.leads()
		b := start(t, shared.AdminConfig(), ns, fmt.Sprintf("b-%d", i), fast)
		c := start(t, shared.AdminConfig(), ns, fmt.Sprintf("c-%d", i), fast)
		b.awaitWatch()
		c.awaitWatch()
		stop := overlap(t, old.Leading, b.Leading, c.Leading)
		proxy.Blackhole()
		old.cancel() // it drains, has nothing to do, and tries to release
		time.Sleep(time.Duration(i) * 200 * time.Millisecond)
		proxy.Heal()
		select {
		case <-b.terms:
		case <-c.terms:
		case <-time.After(time.Minute):
			t.Fatal("no candidate leads")
		}
		time.Sleep(fast.lease)
		if b.Leading() == c.Leading() {
			t.Errorf("b leads: %v, c leads: %v", b.Leading(), c.Leading())
		}
		stop()
		b.stop()
		c.stop()
	}
}

func TestServerOutages(t *testing.T) {
	t.Parallel()
	own := cluster.StartServer(t, cluster.Options{})
	ns := own.Namespace(t)
	a := start(t, own.AdminConfig(), ns, "a", standard)
	term := a.leads()
	a.awaitRenewals(1)

	own.Freeze(t)
	time.Sleep(5 * time.Second)
	own.Thaw(t)
	a.awaitRenewals(2)
	if term.Err() != nil {
		t.Fatalf("a server that was frozen for 5s cost the term: %v", context.Cause(term))
	}

	began := time.Now()
	own.Kill9(t)
	own.Start(t)
	down := time.Since(began)
	a.awaitRenewals(2)
	t.Logf("the server was killed and back after %s", down)
	if lost := term.Err() != nil; lost != (down > standard.renew) && down < standard.renew-time.Second {
		t.Fatalf("lost=%v after %s without a server", lost, down)
	}
	if term.Err() == nil {
		began = time.Now()
		own.Freeze(t, cluster.APIServer)
		<-term.Done()
		within(t, "from the freeze to the end of the term", time.Since(began), standard.renew+100*time.Millisecond)
		own.Thaw(t)
	}
	a.wantLost(election.ReasonDeadline)
	b := start(t, own.AdminConfig(), ns, "b", standard)
	b.leads()
	b.stop()
}
