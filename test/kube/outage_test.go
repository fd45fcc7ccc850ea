package kube_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"kooperd.dev/kooperd/pkg/kube"
	"kooperd.dev/kooperd/pkg/status"
	"kooperd.dev/kooperd/test/cluster"
)

const unreachable = "the API server cannot be reached: "

// The API server dies with its etcd and comes back: Degraded meanwhile, and nothing that changed is
// lost.
func TestAPIServerIsKilledAndComesBack(t *testing.T) {
	own := cluster.StartServer(t, cluster.Options{})
	const ns = "default"
	createConfigMap(t, own, ns, "stays", "web")
	createConfigMap(t, own, ns, "goes", "web")
	c, _ := connect(t, own.AdminConfig())
	w := kube.Watch{Kind: configMapKind, Namespaces: []string{ns}, LabelSelector: labelSelector(t, "app")}
	view := spectate(t, c, w)
	view.awaitState(t, status.Running)
	for _, name := range []string{"goes", "stays"} {
		if _, ok := view.Get(ns, name); !ok {
			t.Fatalf("%s is not in the cache", name)
		}
	}
	view.takeEvents()
	view.takeStates()

	own.Kill9(t)
	view.awaitState(t, status.Degraded)
	view.await(t, "that it cannot be connected to", func() bool { // At first, it may be that a connection has ended.
		_, err := view.Status()
		return err != nil && strings.HasPrefix(err.Error(), unreachable+"dial ")
	})
	if keys := view.Keys(); len(keys) != 2 {
		t.Errorf("the cache has %v while the API server is away, want what it had", keys)
	}
	late := spectate(t, c, kube.Watch{Kind: configMapKind, Namespaces: []string{ns}, LabelSelector: labelSelector(t, "app=db")})
	late.awaitState(t, status.Degraded)

	own.Start(t)
	createConfigMap(t, own, ns, "new", "web")
	createConfigMap(t, own, ns, "short-lived", "web")
	deleteConfigMap(t, own, ns, "goes")
	deleteConfigMap(t, own, ns, "short-lived")
	createConfigMap(t, own, ns, "last", "web")
	back := time.Now()
	since, _ := view.awaitState(t, status.Running)
	t.Logf("from the API server's return to Running: %s", since.Sub(back))
	if since.Sub(back) > recovery {
		t.Errorf("it took %s to notice", since.Sub(back))
	}
	late.awaitState(t, status.Running)
	view.await(t, "what happened meanwhile", func() bool {
		var names []string
		for _, key := range view.Keys() {
			names = append(names, key.Name)
		}
		slices.Sort(names)
		return slices.Equal(names, []string{"last", "new", "stays"})
	})
	reported := map[string]bool{}
	for _, event := range view.takeEvents() {
		reported[event] = true
	}
	for _, want := range []string{"changed default/new", "changed default/last", "deleted default/goes"} {
		if !reported[want] {
			t.Errorf("not reported: %s", want)
		}
	}
	if reported["changed default/stays"] || reported["deleted default/stays"] {
		t.Errorf("an object that has not changed is reported: %v", reported)
	}
	if diff := cmp.Diff([]string{"Degraded", "Running"}, withoutRepeats(view.takeStates())); diff != "" {
		t.Errorf("states (-want +got):\n%s", diff)
	}
}

// withoutRepeats returns the states that matter: a starting API server may also forbid what it
// allows a moment later, so a state may have come with several reasons.
func withoutRepeats(states []string) []string { return slices.Compact(states) }

// A broken network is not a changed cluster: the watch goes on where it was, and nothing is listed
// again.
func TestNetworkBreaks(t *testing.T) {
	tests := map[string]struct {
		breakIt func(t *testing.T, proxy *cluster.Proxy, view *spectator)
		states  []string
	}{
		"connections are reset": {
			func(_ *testing.T, proxy *cluster.Proxy, _ *spectator) { proxy.Reset() },
			nil,
		},
		"connections are refused for a while": {
			func(t *testing.T, proxy *cluster.Proxy, view *spectator) {
				t.Helper()
				proxy.Refuse()
				if _, reason := view.awaitState(t, status.Degraded); !strings.HasPrefix(reason, unreachable) {
					t.Errorf("reason %q", reason)
				}
				proxy.Heal()
			},
			[]string{"Degraded", "Running"},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			ns := shared.Namespace(t)
			proxy := shared.Proxy(t)
			c, registry := connect(t, proxy.Config(shared.AdminConfig()))
			view := spectate(t, c, kube.Watch{Kind: configMapKind, Namespaces: []string{ns}, LabelSelector: labelSelector(t, "app")})
			view.awaitState(t, status.Running)
			createConfigMap(t, shared, ns, "before", "web")
			view.awaitEvent(t, "changed "+ns+"/before")
			view.takeStates()

			tc.breakIt(t, proxy, view)
			createConfigMap(t, shared, ns, "during", "web")
			deleteConfigMap(t, shared, ns, "before")
			view.awaitEvent(t, "changed "+ns+"/during")
			view.awaitEvent(t, "deleted "+ns+"/before")
			view.awaitState(t, status.Running)
			if diff := cmp.Diff(tc.states, view.takeStates()); diff != "" {
				t.Errorf("states (-want +got):\n%s", diff)
			}
			expectOneList(t, registry)
		})
	}
}

func expectOneList(t *testing.T, registry *prometheus.Registry) {
	t.Helper()
	if lists, _ := metric(t, registry, "kooperd_source_lists_total"); lists != 1 {
		t.Errorf("%v lists are counted, want 1", lists)
	}
	if restarts, _ := metric(t, registry, "kooperd_source_watch_restarts_total"); restarts < 1 {
		t.Errorf("%v restarts are counted, want at least 1", restarts)
	}
}

// A view can be closed at once, whatever the API server does.
func TestCloseDuringAnOutage(t *testing.T) {
	ns := shared.Namespace(t)
	for name, broken := range map[string]func(*cluster.Proxy){
		"refused": (*cluster.Proxy).Refuse,
		"silent":  (*cluster.Proxy).Blackhole,
	} {
		for when, synced := range map[string]bool{"before the first list": false, "while it watches": true} {
			t.Run(name+" "+when, func(t *testing.T) {
				proxy := shared.Proxy(t)
				c, _ := connect(t, proxy.Config(shared.AdminConfig()))
				if !synced {
					broken(proxy)
				}
				view := spectate(t, c, kube.Watch{Kind: configMapKind, Namespaces: []string{ns}})
				if synced {
					view.awaitState(t, status.Running)
					broken(proxy)
				}
				if name == "refused" {
					view.awaitState(t, status.Degraded)
				}
				began := time.Now()
				view.close()
				// A request would wait for longer, and the machine may stand still for a while.
				if took := time.Since(began); took > 20*time.Second {
					t.Errorf("closing took %s", took)
				}
			})
		}
	}
}
