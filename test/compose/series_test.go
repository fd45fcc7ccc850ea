package compose_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"kooperd.dev/kooperd/test/compose/parts"
)

// TestSeriesGo looks at the metrics when a hook, a definition with its sources, and the leadership
// have gone: in the next scrape there is nothing of them.
func TestSeriesGo(t *testing.T) {
	t.Parallel()
	r, s := newRig(t), newHookService(t)
	r.onLost = "standby"
	s.answer("pages", answerStatus(http.StatusInternalServerError))
	kept := definition{
		Config: parts.Config{Children: []parts.Child{configMap("a"), invalid()}},
		settings: map[string]any{
			"conditionPrefix": "Kept", "rollout": map[string]any{"maxUnavailable": 1},
			"watch": map[string]any{
				"apiVersion": "demo.kooperd.dev/v1", "kind": "Thing", "namespaces": []string{r.namespace}, "labelSelector": "!" + hookLabel,
			},
		},
	}
	gone := definition{
		Config: parts.Config{Children: []parts.Child{invalid()}, Owns: []parts.Owns{{APIVersion: "v1", Kind: "ConfigMap"}, {APIVersion: "v1", Kind: "Secret"}}},
		settings: map[string]any{"status": "none", "watch": map[string]any{
			"apiVersion": "demo.kooperd.dev/v1", "kind": "Thing", "namespaces": []string{r.namespace}, "labelSelector": "gone",
		}},
	}
	finalizes := map[string]any{"finalize": s.endpoint("pages", "finalize")}
	r.defineAll(t, map[string]definition{definitionName: kept, "gone": gone, "pages": s.hooked(r, "pages", finalizes)})
	for i := range 3 {
		r.hookParent(t, "pages", fmt.Sprintf("page%d", i), "x")
		r.create(t, things, fmt.Sprintf(`{"apiVersion": "demo.kooperd.dev/v1", "kind": "Thing", "metadata": {"name": "gone%d", "labels": {"gone": "", %q: "none"}}, "spec": {"text": "x"}}`, i, hookLabel))
	}
	r.createRange(t, 0, 3)
	p := r.start(t)
	for name, n := range map[string]int{definitionName: 3, "gone": 3, "pages": 3} {
		p.awaitFailing(t, name, n)
	}
	for _, part := range []string{`hook="finalize"`, `="gone"`, `kind="Secret"`} {
		if len(p.seriesWith(t, part)) == 0 {
			t.Fatalf("there is no series with %s", part)
		}
	}

	r.defineAll(t, map[string]definition{definitionName: kept, "gone": gone, "pages": s.hooked(r, "pages", nil)})
	p.reload(t)
	p.AwaitLog(t, "definition was replaced", "controller", "pages")
	p.awaitNoSeries(t, `hook="finalize"`)

	r.removed = append(r.removed, "gone")
	r.defineAll(t, map[string]definition{definitionName: kept, "pages": s.hooked(r, "pages", nil)})
	p.reload(t)
	p.Await(t, "the end of the definition", func() bool { return !strings.Contains(p.readyz(t), " gone: ") })
	p.awaitNoSeries(t, `="gone"`)
	p.awaitNoSeries(t, `kind="Secret"`)

	circuit := `kooperd_webhook_circuit_open{controller="pages",hook="sync"}`
	p.Await(t, "a hook that is not called", func() bool {
		got, _ := p.Metric(t, circuit)
		return got == "1"
	})

	steal := []byte(`{"spec": {"holderIdentity": "somebody-else", "leaseDurationSeconds": 3600}}`)
	if _, err := shared.Client().CoordinationV1().Leases(r.leases).Patch(t.Context(), leaseName, types.MergePatchType, steal, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	p.AwaitLog(t, "standing by after the loss of the lease")
	p.Await(t, "the gauges of a standby to be 0", func() bool {
		return !slices.ContainsFunc(p.gaugesOfWork(t), func(series string) bool { return !strings.HasSuffix(series, " 0") })
	})
}

// seriesWith are the lines of the metrics that have a text in them.
func (p *replica) seriesWith(t *testing.T, text string) (found []string) {
	t.Helper()
	_, body := p.Get(t, "metrics", "/metrics")
	for line := range strings.Lines(body) {
		if !strings.HasPrefix(line, "#") && strings.Contains(line, text) {
			found = append(found, strings.TrimSpace(line))
		}
	}
	return found
}

// awaitNoSeries waits until nothing is left of what has gone: the log says that it goes a moment
// before.
func (p *replica) awaitNoSeries(t *testing.T, with string) {
	t.Helper()
	p.Await(t, "no series with "+with, func() bool { return len(p.seriesWith(t, with)) == 0 })
}

// gaugesOfWork are the lines of the gauges that say what a definition does, but for its state.
func (p *replica) gaugesOfWork(t *testing.T) (found []string) {
	t.Helper()
	_, body := p.Get(t, "metrics", "/metrics")
	gauges := map[string]bool{}
	for line := range strings.Lines(body) {
		if words := strings.Fields(line); len(words) == 4 && words[1] == "TYPE" {
			gauges[words[2]] = words[3] == "gauge"
		}
		name, labels, _ := strings.Cut(line, "{")
		ofDefinition := strings.Contains(labels, `controller="`) || strings.HasPrefix(name, "workqueue_")
		if gauges[name] && ofDefinition && name != "kooperd_controller_state" {
			found = append(found, strings.TrimSpace(line))
		}
	}
	if len(found) < 20 {
		t.Errorf("there are %d gauges of definitions: %q", len(found), found)
	}
	return found
}
