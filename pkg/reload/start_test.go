package reload

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"

	"kooperd.dev/kooperd/pkg/config"
)

// fakeConfigMaps keeps one ConfigMap as the API server does.
type fakeConfigMaps struct {
	corev1client.ConfigMapInterface

	mu      sync.Mutex
	object  *corev1.ConfigMap // nil when there is none
	version int
	err     error // of every request
	writes  int
}

func (f *fakeConfigMaps) ConfigMaps(string) corev1client.ConfigMapInterface { return f }

var configMapResource = schema.GroupResource{Resource: "configmaps"}

func (f *fakeConfigMaps) Get(_ context.Context, name string, _ metav1.GetOptions) (*corev1.ConfigMap, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return nil, f.err
	}
	if f.object == nil {
		return nil, apierrors.NewNotFound(configMapResource, name)
	}
	return f.object.DeepCopy(), nil
}

func (f *fakeConfigMaps) Create(_ context.Context, object *corev1.ConfigMap, _ metav1.CreateOptions) (*corev1.ConfigMap, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil && f.object != nil {
		return nil, apierrors.NewAlreadyExists(configMapResource, object.Name)
	}
	return f.put(object)
}

func (f *fakeConfigMaps) Update(_ context.Context, object *corev1.ConfigMap, _ metav1.UpdateOptions) (*corev1.ConfigMap, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.err != nil:
	case f.object == nil:
		return nil, apierrors.NewNotFound(configMapResource, object.Name)
	case f.object.ResourceVersion != object.ResourceVersion:
		return nil, apierrors.NewConflict(configMapResource, object.Name, errors.New("it has changed"))
	}
	return f.put(object)
}

func (f *fakeConfigMaps) put(object *corev1.ConfigMap) (*corev1.ConfigMap, error) {
	if f.err != nil {
		return nil, f.err
	}
	f.version++
	f.writes++
	f.object = object.DeepCopy()
	f.object.ResourceVersion = strconv.Itoa(f.version)
	return f.object.DeepCopy(), nil
}

func (f *fakeConfigMaps) setError(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
}

func (f *fakeConfigMaps) store() *Store {
	s := NewStore(types.NamespacedName{Namespace: "ns", Name: "config-accepted"}, f)
	s.WriteBy(f)
	return s
}

// accept stores a text as the config of a version of the source.
func (f *fakeConfigMaps) accept(t *testing.T, text string, version string) {
	t.Helper()
	file := config.File{Name: "c.yaml", Path: "/c.yaml", Data: []byte(text)}
	files, err := config.NewFiles(file)
	if err != nil {
		t.Fatal(err)
	}
	a := accepted{Versions: map[string]string{"ns/config": version}, Hash: files.Hash(), Files: files.List()}
	if f.object != nil {
		a.resourceVersion = f.object.ResourceVersion
	}
	if _, err := f.store().save(t.Context(), a, time.Now()); err != nil {
		t.Fatal(err)
	}
}

// accepted returns the text that is stored.
func (f *fakeConfigMaps) accepted(t *testing.T) string {
	t.Helper()
	a, err := f.store().load(t.Context())
	if err != nil || a == nil {
		t.Fatalf("loading what is stored: %v, %v", a, err)
	}
	return string(a.Files[0].Data)
}

func TestStart(t *testing.T) {
	five := definitions("a", "b", "c", "d", "e")
	tests := map[string]struct {
		text, stored string // stored is empty when nothing is
		rubbish      bool   // what is stored cannot be read
		storeErr     error
		want         string // what runs; empty for an error
		refused      string // a part of why the text does not run
	}{
		"the first time":               {text: five, want: five},
		"what is stored":               {text: five, stored: five, want: five},
		"a later one":                  {text: definitions("a", "b", "c", "d", "x"), stored: five, want: definitions("a", "b", "c", "d", "x")},
		"a mistake":                    {text: definitions("a=loud"), stored: five, want: five, refused: "c.yaml:3:"},
		"a mistake, and no other":      {text: definitions("a=loud"), refused: "c.yaml:3:"},
		"more than half is missing":    {text: definitions("a"), stored: five, want: five, refused: "4 of 5 definitions are missing"},
		"another lease is a new start": {text: five + "leaderElection: {name: other}\n", stored: five, want: five + "leaderElection: {name: other}\n"},
		"rubbish is stored":            {text: five, rubbish: true, want: five},
		"a mistake beside rubbish":     {text: definitions("a=loud"), rubbish: true, refused: "it cannot be read"},
		"an old mistake is stored":     {text: five, stored: definitions("a=loud"), want: five},
		"two mistakes":                 {text: definitions("a=loud"), stored: definitions("b=loud"), refused: "evaluating the last accepted config: c.yaml:3:"},
		"the store cannot be read":     {text: five, storeErr: errors.New("forbidden"), want: five},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			maps := &fakeConfigMaps{}
			if tc.stored != "" {
				maps.accept(t, tc.stored, "1")
			}
			if tc.rubbish {
				maps.object = &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{ResourceVersion: "1"}}
			}
			maps.err = tc.storeErr
			j := &journal{}
			r, err := Start(t.Context(), Options{
				Source: &textSource{text: tc.text, version: 2}, Evaluate: evaluateWithLog(t), Store: maps.store(), Observer: j, Refused: j.refused,
			})
			if tc.want == "" {
				if err == nil || !strings.Contains(err.Error(), tc.refused) {
					t.Fatalf("Start returned %v, want an error with %q", err, tc.refused)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			r.ApplyTo(j.apply)
			if got := string(r.running.text("c.yaml")); got != tc.want {
				t.Errorf("what runs is\n%s", got)
			}
			if reason := j.lastReason(); (reason == "") != (tc.refused == "") || !strings.Contains(reason, tc.refused) {
				t.Errorf("the reason is %q, want one with %q", reason, tc.refused)
			}
		})
	}
}

// TestLead begins a term with version 5 of a source, and with something else in the store.
func TestLead(t *testing.T) {
	five, other := definitions("a", "b"), definitions("a", "b", "c")
	tests := map[string]struct {
		stored, version string
		rubbish         bool
		want            string // what runs, and is stored
		writes          int    // by Lead
	}{
		"nothing is stored":     {want: five, writes: 1},
		"the same is stored":    {stored: five, version: "5", want: five},
		"an older one":          {stored: other, version: "4", want: five, writes: 1},
		"the same, seen before": {stored: five, version: "4", want: five, writes: 1},
		"a newer one":           {stored: other, version: "6", want: other},
		"the same, seen later":  {stored: five, version: "6", want: five},
		"rubbish":               {rubbish: true, want: five, writes: 1},
		"one with a mistake":    {stored: definitions("a=loud"), version: "6", want: five},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			maps := &fakeConfigMaps{}
			j := &journal{}
			r, err := Start(t.Context(), Options{Source: &textSource{text: five, version: 5}, Evaluate: evaluateWithLog(t), Store: maps.store(), Observer: j})
			if err != nil {
				t.Fatal(err)
			}
			r.ApplyTo(j.apply)
			if tc.stored != "" {
				maps.accept(t, tc.stored, tc.version)
			}
			if tc.rubbish {
				maps.version++
				maps.object = &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{ResourceVersion: strconv.Itoa(maps.version)}}
			}
			maps.writes = 0
			if err := r.Lead(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
			if got := string(r.running.text("c.yaml")); got != tc.want {
				t.Errorf("what runs is\n%s", got)
			}
			if maps.writes != tc.writes {
				t.Errorf("the store was written %d times, want %d", maps.writes, tc.writes)
			}
			if got := maps.accepted(t); got != tc.want && name != "one with a mistake" {
				t.Errorf("what is stored is\n%s", got)
			}
		})
	}
}

// TestLeadWaits checks that nothing is worked on before the store has been read, and that the end
// of the term or the drain ends the wait.
func TestLeadWaits(t *testing.T) {
	for _, end := range []string{"term", "drain", "answer"} {
		t.Run(end, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				maps := &fakeConfigMaps{}
				j := &journal{}
				r, err := Start(t.Context(), Options{Source: &textSource{text: definitions("a")}, Evaluate: evaluateWithLog(t), Store: maps.store(), Observer: j, Refused: j.refused})
				if err != nil {
					t.Fatal(err)
				}
				r.ApplyTo(j.apply)
				maps.setError(errors.New("the API server is away"))
				term, lose := context.WithCancel(t.Context())
				defer lose()
				drain, led := make(chan struct{}), make(chan error, 1)
				go func() { led <- r.Lead(term, drain) }()
				time.Sleep(time.Minute)
				if len(led) > 0 {
					t.Fatalf("Lead returned %v without an answer", <-led)
				}
				if reason := j.lastReason(); !strings.HasSuffix(reason, "ConfigMap ns/config-accepted: the API server is away") {
					t.Errorf("meanwhile the reason is %q", reason)
				}
				switch end {
				case "term":
					lose()
				case "drain":
					close(drain)
				case "answer":
					maps.setError(nil)
				}
				if err := <-led; (err == nil) != (end == "answer") || j.lastReason() != "" {
					t.Errorf("Lead returned %v, and the reason is %q", err, j.lastReason())
				}
			})
		})
	}
}

// TestAcceptStoresFirst checks that a leader runs nothing that the next one could not know.
func TestAcceptStoresFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		maps := &fakeConfigMaps{}
		s := &textSource{}
		r, j := started(t, s, definitions("a"), func(o *Options) { o.Store = maps.store() })
		term, lose := context.WithCancel(t.Context())
		if err := r.Lead(term, nil); err != nil {
			t.Fatal(err)
		}
		maps.setError(errors.New("the API server is away"))
		s.set(definitions("b", "a"), nil)
		if j.lastApplied() != "a" || !strings.Contains(j.lastReason(), "storing the accepted config in ConfigMap ns/config-accepted: the API server is away") {
			t.Errorf("without the store %q runs, reason %q", j.lastApplied(), j.lastReason())
		}
		maps.setError(nil)
		time.Sleep(time.Minute)
		synctest.Wait()
		if j.lastApplied() != "a b" || maps.accepted(t) != definitions("b", "a") {
			t.Errorf("with the store %q runs", j.lastApplied())
		}
		maps.accept(t, definitions("b", "c", "a"), "1000") // by the next leader, before this one has noticed
		s.set(definitions("b", "a", "x"), nil)
		time.Sleep(behindGrace)
		synctest.Wait()
		if j.lastApplied() != "a b" || !strings.Contains(j.lastReason(), errBehind.Error()) {
			t.Errorf("with a newer one in the store %q runs, reason %q", j.lastApplied(), j.lastReason())
		}
		lose()
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if j.lastApplied() != "a b x" || maps.accepted(t) != definitions("b", "c", "a") {
			t.Errorf("after the term %q runs", j.lastApplied())
		}
	})
}
