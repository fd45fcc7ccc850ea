package reload

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/engine"
	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/handlers/log"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// textSource is a source of one file whose text a test sets.
type textSource struct {
	mu      sync.Mutex
	text    string
	version int
	err     error
	growing bool
	changed func()
}

func (s *textSource) Read(context.Context) (Snapshot, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return Snapshot{}, s.err
	}
	files, err := config.NewFiles(config.File{Name: "c.yaml", Path: "/c.yaml", Data: []byte(s.text)})
	if err != nil {
		return Snapshot{}, err
	}
	snapshot := Snapshot{Files: files, Versions: map[string]string{"ns/config": fmt.Sprint(s.version)}}
	if s.growing {
		snapshot.Growing = []string{"c.yaml"}
	}
	return snapshot, nil
}

func (s *textSource) Watch(ctx context.Context, changed func()) {
	s.mu.Lock()
	s.changed = changed
	s.mu.Unlock()
	<-ctx.Done()
}

// set changes the text and waits until that has been dealt with.
func (s *textSource) set(text string, err error) {
	s.mu.Lock()
	s.text, s.err = text, err
	s.version++
	changed := s.changed
	s.mu.Unlock()
	if changed != nil {
		changed()
		time.Sleep(time.Second)
		synctest.Wait()
	}
}

// definitions is a config with definitions of the given names, each with its own log level.
func definitions(levels ...string) string {
	var b strings.Builder
	b.WriteString("apiVersion: kooperd.dev/v1alpha1\ncontrollers:\n")
	for _, d := range levels {
		name, level, _ := strings.Cut(d, "=")
		if level == "" {
			level = "info"
		}
		fmt.Fprintf(&b, "  %s: {watch: {apiVersion: v1, kind: Pod}, handler: {log: {level: %s}}}\n", name, level)
	}
	return b.String()
}

// journal keeps what a Reloader does.
type journal struct {
	mu      sync.Mutex
	applied []string // the names of the definitions of each config
	results []string
	same    []bool // of configs that were read again, whether they run
	reasons []string
	hash    string
}

func (j *journal) apply(cfg *config.Config) engine.Changes {
	var names []string
	for _, d := range cfg.Definitions {
		names = append(names, d.Name)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.applied = append(j.applied, strings.Join(names, " "))
	return engine.Changes{}
}

func (j *journal) SetConfig(hash string) { j.hash = hash }

func (j *journal) ObserveReload(result string, _ time.Duration) {
	j.results = append(j.results, result)
}

func (j *journal) ObserveUnchanged(runs bool) { j.same = append(j.same, runs) }

func (j *journal) refused(reason string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.reasons = append(j.reasons, reason)
}

func (j *journal) lastReason() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.reasons) == 0 {
		return ""
	}
	return j.reasons[len(j.reasons)-1]
}

func (j *journal) lastApplied() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.applied[len(j.applied)-1]
}

func evaluateWithLog(t *testing.T) Evaluator {
	t.Helper()
	registry, err := handlers.NewRegistry(log.Plugin)
	if err != nil {
		t.Fatal(err)
	}
	return func(ctx context.Context, files *config.Files) (*config.Config, []string, error) {
		return config.Evaluate(ctx, files, config.Options{Registry: registry})
	}
}

// started runs a Reloader that begins with a text, until the test has ended.
func started(t *testing.T, s *textSource, text string, change func(*Options)) (*Reloader, *journal) {
	t.Helper()
	j := &journal{}
	s.set(text, nil)
	opts := Options{Source: s, Evaluate: evaluateWithLog(t), Observer: j, Refused: j.refused}
	if change != nil {
		change(&opts)
	}
	r, err := Start(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	r.ApplyTo(j.apply)
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { r.Run(ctx) })
	t.Cleanup(func() {
		stop()
		running.Wait()
	})
	synctest.Wait()
	return r, j
}

func TestReload(t *testing.T) {
	tests := map[string]struct {
		growing, allow, ignoreLease bool
		before, after               string
		err                         error
		refused                     string // a part of the reason; empty: after runs
	}{
		"a definition more":          {before: definitions("a"), after: definitions("a", "b")},
		"a definition less":          {before: definitions("a", "b"), after: definitions("b")},
		"another setting":            {before: definitions("a"), after: definitions("a=debug")},
		"a mistake":                  {before: definitions("a"), after: definitions("a=loud"), refused: "c.yaml:3:"},
		"no YAML":                    {before: definitions("a"), after: "{", refused: "c.yaml:1:"},
		"nothing":                    {before: definitions("a"), after: "", refused: "the file is empty"},
		"more than half is missing":  {before: definitions("a", "b", "c"), after: definitions("c"), refused: "2 of 3 definitions are missing: to remove them, name them in `removed` (a, b)"},
		"no definition is left":      {before: definitions("a"), after: "apiVersion: kooperd.dev/v1alpha1\ncontrollers: {}\n", refused: "no definition is left"},
		"the missing ones are named": {before: definitions("a", "b", "c"), after: definitions("c") + "removed: [a, b]\n"},
		"one of them is not named":   {before: definitions("a", "b", "c", "d"), after: definitions("d") + "removed: [a]\n"},
		"removals are allowed":       {allow: true, before: definitions("a", "b", "c"), after: definitions("c")},
		"cut off":                    {growing: true, before: definitions("a", "b", "c"), after: definitions("a", "b"), refused: "c.yaml is the beginning of the file that runs"},
		"cut off in a definition": {growing: true, before: definitions("a") + "  b:\n    watch: {apiVersion: v1, kind: Pod}\n    handler: {log: {}}\n    paused: true\n",
			after: definitions("a") + "  b:\n    watch: {apiVersion: v1, kind: Pod}\n    handler: {log: {}}\n", refused: "is the beginning"},
		"without the last line break": {growing: true, before: definitions("a", "b"), after: strings.TrimRight(definitions("a", "b"), "\n")},
		"shorter in a volume":         {before: definitions("a", "b", "c"), after: definitions("a", "b")},
		"shorter and named":           {growing: true, before: definitions("a", "b", "c"), after: definitions("a", "b") + "removed: [c]\n"},
		"shorter and allowed":         {growing: true, allow: true, before: definitions("a", "b", "c"), after: definitions("a", "b")},
		"another lease": {before: definitions("a"), after: definitions("a", "b") + "leaderElection: {name: other, leaseDuration: 30s}\n",
			refused: "leaderElection needs a restart, and nothing else is applied before: name is kooperd and would be other, leaseDuration is 15s and would be 30s"},
		"no lease":                          {before: definitions("a"), after: definitions("a") + "leaderElection: disabled\n", refused: "disabled is false and would be true"},
		"another lease that does not count": {ignoreLease: true, before: definitions("a"), after: definitions("a", "b") + "leaderElection: {name: other}\n"},
		"unreadable":                        {before: definitions("a"), err: errors.New("no such file"), refused: "no such file"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &textSource{growing: tc.growing}
				r, j := started(t, s, tc.before, func(o *Options) { o.AllowRemovals, o.IgnoreLeaderElection = tc.allow, tc.ignoreLease })
				before := r.Running()
				s.set(tc.after, tc.err)
				reason, changed := j.lastReason(), r.Running() != before
				if tc.refused == "" && (reason != "" || !changed || j.hash != r.Running().Hash) {
					t.Fatalf("changed: %t, reason %q", changed, reason)
				}
				if tc.refused != "" && (!strings.Contains(reason, tc.refused) || changed || len(j.applied) != 1) {
					t.Fatalf("changed: %t, reason %q, want one with %q", changed, reason, tc.refused)
				}
				s.set(tc.before, nil)
				if reason := j.lastReason(); reason != "" && tc.refused != "" {
					t.Errorf("back to what runs: still %q", reason)
				}
			})
		})
	}
}

// TestReloadEveryPrefix writes every beginning of a good file over it.
func TestReloadEveryPrefix(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		text := definitions("a", "b=debug", "c", "d")
		s := &textSource{growing: true}
		r, j := started(t, s, text, nil)
		for i := range len(text) {
			s.set(text[:i], nil)
			if got := j.lastApplied(); got != "a b c d" || len(r.Running().Definitions) != 4 {
				t.Fatalf("after the first %d bytes %q runs", i, got)
			}
		}
		s.set(text, nil)
		if reason := j.lastReason(); reason != "" {
			t.Errorf("the whole file again: %q", reason)
		}
	})
}

// TestReloadTriesAgain checks that what says nothing about the config is tried again, and what does
// is not.
func TestReloadTriesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &textSource{}
		evaluate := evaluateWithLog(t)
		var tries atomic.Int32
		var broken atomic.Bool
		_, j := started(t, s, definitions("a"), func(o *Options) {
			o.First = o.Evaluate
			o.Evaluate = func(ctx context.Context, files *config.Files) (*config.Config, []string, error) {
				if tries.Add(1); broken.Load() {
					return nil, nil, errors.New("no process could be started")
				}
				return evaluate(ctx, files)
			}
		})
		broken.Store(true)
		s.set(definitions("b", "a"), nil)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if tries.Load() < 3 || j.lastReason() != "no process could be started" {
			t.Errorf("%d tries, reason %q", tries.Load(), j.lastReason())
		}
		broken.Store(false)
		time.Sleep(time.Minute)
		synctest.Wait()
		if j.lastApplied() != "a b" || j.lastReason() != "" {
			t.Errorf("afterwards %q runs, reason %q", j.lastApplied(), j.lastReason())
		}
		tries.Store(0)
		s.set(definitions("a=loud"), nil)
		s.changed()
		time.Sleep(time.Hour)
		synctest.Wait()
		if tries.Load() != 1 {
			t.Errorf("a mistake was evaluated %d times", tries.Load())
		}
	})
}

// TestReloadSettles checks that a file that is being written is not taken before it is complete.
func TestReloadSettles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &textSource{}
		_, j := started(t, s, definitions("a"), nil)
		s.mu.Lock()
		s.text = definitions("b", "a=loud")
		s.mu.Unlock()
		s.changed()
		time.Sleep(settle / 2)
		s.set(definitions("a", "b"), nil)
		if got := fmt.Sprint(j.results, j.reasons); got != "[accepted accepted] []" {
			t.Errorf("results and reasons are %s", got)
		}
	})
}

func TestReloadOnDemand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &textSource{}
		r, j := started(t, s, definitions("a"), nil)
		r.Reload()
		time.Sleep(time.Second)
		synctest.Wait()
		if got := fmt.Sprint(j.results, j.same, j.applied); got != "[accepted] [true] [a]" {
			t.Errorf("results, of unchanged configs, and configs are %s", got)
		}
	})
}

// TestEachRevisionCountsOnce reads the same texts again and again: at a signal, when it turns out
// what they depend on, and when a file stands beside an imported one.
func TestEachRevisionCountsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lib := filepath.Join(t.TempDir(), "lib.cue")
		write := func(path, text string) {
			t.Helper()
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		write(lib, "a")
		s := &textSource{}
		evaluate := evaluateWithLog(t)
		var broken atomic.Bool
		r, j := started(t, s, definitions("x"), func(o *Options) {
			o.Evaluate = func(ctx context.Context, f *config.Files) (*config.Config, []string, error) {
				if broken.Load() {
					return nil, nil, errors.New("no process could be started")
				}
				text, err := os.ReadFile(lib)
				if err != nil {
					return nil, nil, err
				}
				whole, err := config.NewFiles(config.File{Name: "c.yaml", Path: "/c.yaml", Data: []byte(definitions(strings.Fields(string(text))...))})
				if err != nil {
					return nil, nil, err
				}
				cfg, _, err := evaluate(ctx, whole)
				return cfg, []string{lib}, err
			}
		})
		expect := func(what string, want ...string) {
			t.Helper()
			for range 3 {
				s.changed()
				time.Sleep(2 * time.Second)
				r.Reload()
				time.Sleep(2 * time.Second)
				synctest.Wait()
			}
			if have := strings.Join(j.results, " "); have != strings.Join(want, " ") {
				t.Errorf("%s: the results are %s, want %s", what, have, want)
			}
			if len(j.same) == 0 {
				t.Errorf("%s: the config was not read again", what)
			}
			j.results, j.same = nil, nil
		}
		expect("at first", "accepted")
		write(filepath.Join(filepath.Dir(lib), "other.cue"), "")
		expect("a file beside the imported one")
		write(lib, "a b")
		expect("another import", "accepted")
		write(lib, "a=loud")
		expect("a mistake in the import", "refused")
		write(lib, "a=noisy")
		expect("another mistake in it", "refused")
		write(lib, "a b")
		expect("what runs again", "accepted")
		broken.Store(true)
		r.Reload()
		time.Sleep(500 * time.Millisecond)
		broken.Store(false)
		expect("a failure that passes", "failed")
	})
}
