package engine_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"kooperd.dev/kooperd/pkg/compose"
	"kooperd.dev/kooperd/pkg/engine"
	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kube"
	"kooperd.dev/kooperd/pkg/status"
	"kooperd.dev/kooperd/pkg/statusz"
	"kooperd.dev/kooperd/pkg/telemetry"
)

// canary is the value of a Secret that must be nowhere.
const canary = "canary-4711-in-a-secret"

// siteOf makes a ConfigMap and a Secret of a ConfigMap, and quotes the Secret where it can.
func siteOf(_ context.Context, req handlers.ComposeRequest) (handlers.Composition, error) {
	var parent corev1.ConfigMap
	if err := req.Object.Into(&parent); err != nil {
		return handlers.Composition{}, err
	}
	page := handlers.Child{Name: "page", Object: &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: parent.Name + "-page"}, Data: map[string]string{"text": parent.Data["text"]},
	}}
	if parent.Data["slow"] != "" {
		page.Policy.Ready = func(handlers.Object) (bool, string) { return false, "it waits for " + canary }
	}
	secret := handlers.Child{Name: "secret", Object: &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: parent.Name + "-secret"}, StringData: map[string]string{"password": canary},
	}}
	composition := handlers.Composition{Children: []handlers.Child{page, secret}}
	if parent.Data["fail"] != "" {
		return composition, errors.New("it fails with " + canary) //nolint:err113 // it is quoted
	}
	return composition, nil
}

// reporting is an engine with one composer, sites, that is asked what it does.
type reporting struct {
	engine.Reporter
	t         *testing.T
	namespace string
	client    kubernetes.Interface
}

func startReporting(t *testing.T) *reporting {
	t.Helper()
	r := &reporting{t: t, namespace: shared.Namespace(t)}
	plugin := handlers.Plugin[testConfig]{
		Name: "test", Summary: "Makes sites", Schema: "#Config: {version?: string}",
		Owns: func(testConfig) []handlers.OwnedKind {
			return []handlers.OwnedKind{{APIVersion: "v1", Kind: "ConfigMap"}, {APIVersion: "v1", Kind: "Secret"}}
		},
		NewComposer: func(context.Context, handlers.Env, testConfig) (handlers.Composer, error) {
			return handlers.ComposerFunc(siteOf), nil
		},
	}
	var err error
	if r.client, err = kubernetes.NewForConfig(shared.AdminConfig()); err != nil {
		t.Fatal(err)
	}
	metrics := telemetry.NewMetrics(prometheus.NewRegistry())
	cluster, err := kube.New(shared.AdminConfig(), kube.Options{Metrics: metrics})
	if err != nil {
		t.Fatal(err)
	}
	eng, err := engine.New(engine.Options{
		Cluster: cluster, Metrics: metrics, Board: status.NewBoard(metrics), HistoryLimit: 1 << 20,
		Installation: compose.Installation(r.namespace, "kooperd"),
	})
	if err != nil {
		t.Fatal(err)
	}
	eng.Apply(load(t, "", fmt.Sprintf(`sites: {watch: {apiVersion: "v1", kind: "ConfigMap", namespaces: [%q], labelSelector: "site"}, `+
		`retry: initialDelay: "50ms", handler: test: {}}`, r.namespace), plugin))
	r.Reporter = engine.NewReporter(eng)
	base, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	var running, working sync.WaitGroup
	running.Go(func() { eng.Run(base) })
	term, end := context.WithCancel(base)
	working.Go(func() { eng.Work(term, nil, engine.UnderLease) })
	t.Cleanup(func() {
		end()
		working.Wait()
		stop()
		running.Wait()
		cluster.Close()
	})
	return r
}

// eventually waits until nothing is wrong any more.
func (r *reporting) eventually(what string, wrong func() error) {
	r.t.Helper()
	deadline := time.After(timeout)
	for {
		err := wrong()
		if err == nil {
			return
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-deadline:
			r.t.Fatalf("%s has not happened within %s: %v", what, timeout, err)
		}
	}
}

func (r *reporting) site(name string, data string) {
	r.t.Helper()
	shared.Apply(r.t, fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s, namespace: %s, labels: {site: \"\"}}\ndata: {%s}\n", name, r.namespace, data))
}

func (r *reporting) patch(name, patch string) {
	r.t.Helper()
	_, err := r.client.CoreV1().ConfigMaps(r.namespace).Patch(r.t.Context(), name, types.MergePatchType, []byte(patch), metav1.PatchOptions{FieldManager: "somebody"})
	if err != nil {
		r.t.Fatal(err)
	}
}

// in returns what is known of a site.
func (r *reporting) in(name string) statusz.ObjectIn {
	report, ok := r.Object(r.t.Context(), statusz.ObjectRef{Kind: "ConfigMap", Namespace: r.namespace, Name: name})
	if !ok || len(report.Definitions) != 1 {
		return statusz.ObjectIn{}
	}
	return report.Definitions[0]
}

// handling waits for a handling of a site that is as it should be.
func (r *reporting) handling(name, what string, is func(h statusz.Handling) bool) {
	r.t.Helper()
	r.eventually(what, func() error {
		if in := r.in(name); !slices.ContainsFunc(in.Handlings, is) {
			return fmt.Errorf("%s: %+v", name, in) //nolint:err113 // for a person
		}
		return nil
	})
}

// definitions are reported with so many items each.
func (r *reporting) definitions(items int) []statusz.Definition {
	all, _ := r.Definitions(statusz.Items{Each: items})
	return all
}

// list waits for a list of objects to have so many of a site, and returns the first.
func (r *reporting) list(what, name string, want int, of func(statusz.Objects) statusz.ObjectList) (first statusz.ObjectRow) {
	r.t.Helper()
	r.eventually(what, func() error {
		list, n := of(r.definitions(20)[0].Objects), 0
		for _, row := range list.Items {
			if row.Object.Name == name {
				if n++; n == 1 {
					first = row
				}
			}
		}
		if n != want || list.Total < n {
			return fmt.Errorf("%s: %+v", name, list) //nolint:err113 // for a person
		}
		return nil
	})
	return first
}

func failing(o statusz.Objects) statusz.ObjectList  { return o.Failing }
func notReady(o statusz.Objects) statusz.ObjectList { return o.NotReady }
func refused(o statusz.Objects) statusz.ObjectList  { return o.Refused }
func held(o statusz.Objects) statusz.ObjectList     { return o.Held }
func fights(o statusz.Objects) statusz.ObjectList   { return o.Fights }

// TestReport has sites that are well and others that are not, and asks what the engine says of
// them.
func TestReport(t *testing.T) {
	r := startReporting(t)
	shared.Apply(t, fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: bad-page, namespace: %s}\n", r.namespace))
	r.site("good", `text: one`)
	wrote := func(h statusz.Handling, object string, status int) bool {
		kind := "ConfigMap"
		if strings.HasPrefix(object, "secrets/") {
			kind = "Secret"
		}
		return slices.Contains(h.Writes, statusz.Write{Verb: "patch", Object: object, Kind: kind, Status: status})
	}
	page, secret := "configmaps/"+r.namespace+"/good-page", "secrets/"+r.namespace+"/good-secret"
	r.handling("good", "the first call", func(h statusz.Handling) bool {
		return wrote(h, page, 201) && wrote(h, secret, 201) && h.WritesTotal == 2 && h.Attempt == 1 && h.Took > 0 && h.Result == "done"
	})
	r.patch("good", `{"data": {"text": "two"}}`)
	r.handling("good", "the call for a change", func(h statusz.Handling) bool {
		return h.Cause == "change" && slices.Equal(h.Changed, []string{"data.text"}) && wrote(h, page, 200) && h.WritesTotal == 1
	})
	r.patch("good-page", `{"data": {"text": "by hand"}}`)
	r.handling("good", "the call for a child", func(h statusz.Handling) bool {
		return h.By == "ConfigMap/"+r.namespace+"/good-page" && len(h.Changed) == 0 && wrote(h, page, 200)
	})

	r.site("bad", `text: one`)
	if row := r.list("a child that is refused", "bad", 1, refused); row.Child != "ConfigMap/"+r.namespace+"/bad-page" || row.Reason == "" || row.Since.IsZero() {
		t.Errorf("refused: %+v", row)
	}
	r.eventually("the failed call of the refused one", func() error { // It ends after what it has refused is known.
		if in := r.in("bad"); len(in.Blocked) == 0 || in.Failures == 0 || in.Error == "" {
			return fmt.Errorf("refused: %+v", in) //nolint:err113 // for a person
		}
		return nil
	})
	r.site("slow", `text: one, slow: "yes"`)
	if row := r.list("a parent that is not ready", "slow", 1, notReady); !strings.Contains(row.Reason, "it waits for [REDACTED]") {
		t.Errorf("not ready: %+v", row)
	}
	r.site("failing", `text: one, fail: "yes"`)
	if row := r.list("a parent that fails", "failing", 1, failing); !strings.Contains(row.Reason, "it fails with [REDACTED]") {
		t.Errorf("failing: %+v", row)
	}
	r.handling("failing", "a call that fails", func(h statusz.Handling) bool {
		return h.Result == "retry" && strings.Contains(h.Error, "it fails with [REDACTED]") && !h.Again.IsZero() && h.Attempt > 1
	})
	r.site("paused", `text: one`)
	r.patch("paused", `{"metadata": {"annotations": {"kooperd.dev/paused": "true"}}}`)
	r.list("a parent that is paused", "paused", 1, held)
	r.site("fought", `text: one`)
	r.handling("fought", "the first call", func(h statusz.Handling) bool { return h.WritesTotal == 2 })
	r.fight("fought-page")
	r.eventually("the manager that is fought with", func() error { // It is looked for when the fight is known.
		row := r.list("a child that is fought about", "fought", 1, fights)
		if row.Child != "ConfigMap/"+r.namespace+"/fought-page" || !strings.Contains(row.Reason, "somebody") {
			return fmt.Errorf("fight: %+v", row) //nolint:err113 // for a person
		}
		return nil
	})
	r.tellsNoSecrets()
	r.tellsOfSources()

	for name, patch := range map[string]string{
		"slow": `{"data": {"slow": null}}`, "failing": `{"data": {"fail": null}}`, "paused": `{"metadata": {"annotations": null}}`,
	} {
		r.patch(name, patch)
	}
	for _, name := range []string{"bad-page", "fought"} {
		if err := r.client.CoreV1().ConfigMaps(r.namespace).Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	r.list("nothing refused any more", "bad", 0, refused)
	r.list("all ready", "slow", 0, notReady)
	r.list("nothing that fails", "failing", 0, failing)
	r.list("nothing held", "paused", 0, held)
	r.list("no fight", "fought", 0, fights)
	if in := r.in("fought"); in.Cached || len(in.Handlings) == 0 {
		t.Errorf("one that is gone: %+v", in)
	}
}

// fight sets a child back until it stays so.
func (r *reporting) fight(name string) {
	r.t.Helper()
	for i := range 6 {
		r.patch(name, fmt.Sprintf(`{"data": {"text": "by hand %d"}}`, i))
		if i == 5 {
			return
		}
		r.eventually(name+" is right", func() error {
			object, err := r.client.CoreV1().ConfigMaps(r.namespace).Get(r.t.Context(), name, metav1.GetOptions{})
			if err == nil && object.Data["text"] != "one" {
				err = errors.New("it is not") //nolint:err113 // for a person
			}
			return err
		})
	}
}

// tellsNoSecrets looks for the canary in all that is said.
func (r *reporting) tellsNoSecrets() {
	r.t.Helper()
	all := []any{r.definitions(100), r.Sources(), r.History()}
	for _, name := range []string{"good", "bad", "slow", "failing", "paused", "fought"} {
		all = append(all, r.in(name))
	}
	found, _ := r.Search("secret", 100)
	for _, ref := range found {
		report, _ := r.Object(r.t.Context(), ref)
		all = append(all, report)
	}
	text, err := json.Marshal(all)
	if err != nil {
		r.t.Fatal(err)
	}
	if strings.Contains(string(text), canary) || !strings.Contains(string(text), "[REDACTED]") {
		r.t.Errorf("there is a secret in %s", text)
	}
}

func (r *reporting) tellsOfSources() {
	r.t.Helper()
	definition := r.definitions(1)[0]
	if definition.Name != "sites" || definition.Calls.Total == 0 || definition.Calls.Workers != 1 || definition.Children["ready"] == 0 || definition.Objects.NotReady.Total == 0 {
		r.t.Errorf("the definition: %+v", definition)
	}
	for _, s := range r.Sources() {
		if s.State != status.Running || s.Objects == 0 || s.Bytes == 0 || !slices.Equal(s.Definitions, []string{"sites"}) || s.Since.IsZero() {
			r.t.Errorf("source: %+v", s)
		}
	}
	if found, more := r.Search("CONFIGMAP/"+r.namespace+"/GOOD-", 5); len(found) != 1 || more || found[0].Name != "good-page" {
		r.t.Errorf("found: %+v", found)
	}
	report, _ := r.Object(r.t.Context(), statusz.ObjectRef{Kind: "Secret", Namespace: r.namespace, Name: "good-secret"})
	if report == nil || len(report.ChildOf) != 1 || report.ChildOf[0].Object.Name != "good" || len(report.Definitions) != 0 {
		r.t.Errorf("a child: %+v", report)
	}
}
