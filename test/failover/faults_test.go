package failover_test

import (
	"slices"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"kooperd.dev/kooperd/test/cluster"
)

// chaosFault is something that can go wrong. begin returns how it ends, nil when it is over at
// once.
type chaosFault struct {
	name   string
	server bool // it is one of the API server, not of the replica
	edit   bool // it is an edit of the lease, for which the API server has to be there
	begin  func(t *testing.T, c *chaos, r *replica) (end func(t *testing.T))
}

// healing ends any fault of a replica's network.
func healing(r *replica) func(*testing.T) {
	return func(*testing.T) { r.proxy.Heal() }
}

// chaosFaults are all faults, the likely ones several times.
func chaosFaults() []chaosFault {
	faults := append(processFaults(), networkFaults()...)
	faults = append(faults, networkFaults()...)
	return append(append(faults, serverFaults()...), byHand(), byHand(), byHand())
}

func processFaults() []chaosFault {
	kill := chaosFault{name: "SIGKILL", begin: func(t *testing.T, _ *chaos, r *replica) func(*testing.T) {
		t.Helper()
		r.kill(t)
		return nil
	}}
	stop := chaosFault{name: "SIGTERM", begin: func(t *testing.T, _ *chaos, r *replica) func(*testing.T) {
		t.Helper()
		r.stop(t)
		return nil
	}}
	freeze := chaosFault{name: "SIGSTOP", begin: func(t *testing.T, _ *chaos, r *replica) func(*testing.T) {
		t.Helper()
		r.freeze(t)
		return func(t *testing.T) { t.Helper(); r.thaw(t) }
	}}
	return []chaosFault{kill, stop, freeze, freeze}
}

func networkFaults() []chaosFault {
	network := func(name string, fault func(c *chaos, p *cluster.Proxy)) chaosFault {
		return chaosFault{name: name, begin: func(_ *testing.T, c *chaos, r *replica) func(*testing.T) {
			fault(c, r.proxy)
			return healing(r)
		}}
	}
	return []chaosFault{
		network("partition", func(_ *chaos, p *cluster.Proxy) { p.Blackhole() }),
		network("replies lost", func(_ *chaos, p *cluster.Proxy) { p.BlackholeReplies() }),
		network("replies delayed", func(c *chaos, p *cluster.Proxy) { p.DelayReplies(c.some(50*time.Millisecond, c.timing.lease)) }),
		// Requests may be delayed by what lies between the end of a term and the takeover, and no
		// longer.
		network("requests delayed", func(c *chaos, p *cluster.Proxy) { p.Delay(c.some(0, (c.timing.lease-c.timing.renew)/2)) }),
		network("connections dead", func(_ *chaos, p *cluster.Proxy) { p.Stall() }),
		network("connections reset", func(_ *chaos, p *cluster.Proxy) { p.Reset() }),
		network("connections refused", func(_ *chaos, p *cluster.Proxy) { p.Refuse() }),
	}
}

func serverFaults() []chaosFault {
	frozen := chaosFault{name: "API server frozen", server: true, begin: func(t *testing.T, c *chaos, _ *replica) func(*testing.T) {
		t.Helper()
		c.down = true
		c.cluster.Freeze(t, cluster.APIServer)
		return func(t *testing.T) { t.Helper(); c.cluster.Thaw(t, cluster.APIServer); c.down = false }
	}}
	etcd := chaosFault{name: "etcd frozen", server: true, begin: func(t *testing.T, c *chaos, _ *replica) func(*testing.T) {
		t.Helper()
		c.down = true
		c.cluster.Freeze(t, cluster.Etcd)
		return func(t *testing.T) { t.Helper(); c.cluster.Thaw(t, cluster.Etcd); c.down = false }
	}}
	killed := chaosFault{name: "control plane killed", server: true, begin: func(t *testing.T, c *chaos, _ *replica) func(*testing.T) {
		t.Helper()
		c.down = true
		c.cluster.Kill9(t)
		return func(t *testing.T) { t.Helper(); c.cluster.Start(t); c.down = false }
	}}
	return []chaosFault{frozen, etcd, killed}
}

// byHand is an edit of the lease, if there is one.
func byHand() chaosFault {
	return chaosFault{name: "lease edited", edit: true, begin: func(t *testing.T, c *chaos, r *replica) func(*testing.T) {
		t.Helper()
		e := edits[c.faultRand.IntN(len(edits))]
		if e.refused || e.forever {
			return nil
		}
		t.Logf("lease %s", e.name)
		if e.misleads && slices.ContainsFunc(c.replicas, func(r *replica) bool { return !r.hasLooked() }) {
			return nil
		}
		if e.misleads {
			c.misled = time.Now()
		}
		if err := c.tryEdit(t, e, r.identity()); err != nil && !apierrors.IsNotFound(err) {
			t.Fatalf("editing the lease: %v", err)
		}
		return nil
	}}
}
