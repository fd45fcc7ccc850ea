package config_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/sys/unix"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/trigger"
)

// sameConfig compares configs but for where they come from; handlers by their plugin and effective
// settings, filters by their texts.
var sameConfig = cmp.Options{
	cmpopts.IgnoreFields(config.Config{}, "Hash", "Files"),
	cmp.Transformer("handler", func(b handlers.Bound) map[string]string {
		if b.Plugin() == "" {
			return nil
		}
		return map[string]string{b.Plugin(): string(b.JSON())}
	}),
	sameSelectors,
	cmp.Transformer("filter", func(f *trigger.Filter) []string { return append(f.Ignored().Texts(), f.Where().Text()) }),
}

// sameSelectors compares selectors by their texts.
var sameSelectors = cmp.Options{
	cmp.Transformer("labelSelector", func(s labels.Selector) string { return fmt.Sprint(s) }),
	cmp.Transformer("fieldSelector", func(s fields.Selector) string { return fmt.Sprint(s) }),
}

func load(t testing.TB, paths ...string) (*config.Config, error) {
	t.Helper()
	return config.Load(t.Context(), paths, config.Options{Registry: testRegistry(t)})
}

func mustLoad(t testing.TB, paths ...string) *config.Config {
	t.Helper()
	cfg, err := load(t, paths...)
	if err != nil {
		t.Fatalf("loading %q:\n%v", paths, err)
	}
	return cfg
}

// write makes a file in a new directory and returns its name.
func write(t testing.TB, name, text string) string {
	t.Helper()
	name = filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// TestGoodFixtures compares what each file or directory of testdata/good comes to with the .want
// beside it, and loads the printed config again in every format.
func TestGoodFixtures(t *testing.T) {
	t.Chdir(filepath.Join("testdata", "good"))
	for _, name := range fixtures(t, ".") {
		t.Run(name, func(t *testing.T) {
			cfg := mustLoad(t, name)
			have, err := config.Effective(cfg, config.YAML)
			if err != nil {
				t.Fatal(err)
			}
			checkGolden(t, name+".want", have)
			sameElsewhere(t, name, cfg)
			for _, format := range []config.Format{config.CUE, config.YAML, config.JSON} {
				text, err := config.Effective(cfg, format)
				if err != nil {
					t.Fatal(err)
				}
				again := mustLoad(t, write(t, "printed."+string(format), string(text)))
				if diff := cmp.Diff(cfg, again, sameConfig); diff != "" {
					t.Errorf("printed as %s and loaded again (-before +after):\n%s\n%s", format, diff, text)
				}
				twice, err := config.Effective(again, format)
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(text, twice) {
					t.Errorf("printed as %s, the config differs the second time:\n%s", format, cmp.Diff(string(text), string(twice)))
				}
			}
		})
	}
}

// checkGolden compares with a file, or writes it with -update.
func checkGolden(t *testing.T, file string, have []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, have, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(have)); diff != "" {
		t.Errorf("%s (-want +have):\n%s", file, diff)
	}
}

// TestNameWithoutLease is about the name that the children of composers are marked with, and the
// ConfigMap that says what has been owned: both are the same with a lease and without.
func TestNameWithoutLease(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.json")
	if err := os.WriteFile(path, []byte(`{"apiVersion": "kooperd.dev/v1alpha1", "leaderElection": "disabled", "controllers": {}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if le := mustLoad(t, path).LeaderElection; !le.Disabled || le.Name != "kooperd" {
		t.Errorf("have %+v, want no lease, and its name", le)
	}
}

// TestDesignExample pins the Go values of the example that the documentation opens with.
func TestDesignExample(t *testing.T) {
	definition := func(team string) config.Definition {
		return config.Definition{
			Name: "pods-" + team,
			Watch: config.Watch{
				Kind: schema.GroupVersionKind{Version: "v1", Kind: "Pod"}, Namespaces: []string{team},
				LabelSelector: labels.SelectorFromSet(labels.Set{"app": "web"}),
			},
			Mode: config.Concurrent, Workers: 4,
			Retry:   config.Retry{MaxRetries: -1, InitialDelay: 5 * time.Millisecond, MaxDelay: 5 * time.Minute},
			Timeout: time.Minute,
		}
	}
	want := &config.Config{
		LeaderElection: config.LeaderElection{
			Name: "kooperd", Namespace: "kooper-system",
			LeaseDuration: 15 * time.Second, RenewDeadline: 10 * time.Second, RetryPeriod: 2 * time.Second,
			OnLost: config.Exit, Lock: config.LeaseLock,
		},
		Definitions: []config.Definition{definition("payments"), definition("search")},
		Files:       []string{"testdata/good/design.cue"},
	}
	have := mustLoad(t, "testdata/good/design.cue")
	opts := cmp.Options{cmpopts.IgnoreFields(config.Config{}, "Hash"), cmpopts.IgnoreFields(config.Definition{}, "Handler", "Digest"), sameSelectors}
	if diff := cmp.Diff(want, have, opts); diff != "" {
		t.Errorf("(-want +have):\n%s", diff)
	}
	handler := have.Definitions[0].Handler
	if handler.Plugin() != "log" || string(handler.JSON()) != `{"level":"info"}` {
		t.Errorf("handler is %s %s, want log with level info", handler.Plugin(), handler.JSON())
	}
}

// TestSeveralPaths gives --config more than once.
func TestSeveralPaths(t *testing.T) {
	a := write(t, "a.yaml", "apiVersion: kooperd.dev/v1alpha1\ncontrollers: {}\n")
	b := write(t, "b.cue", `controllers: x: {watch: {apiVersion: "v1", kind: "Pod"}, handler: log: {}}`)
	cfg := mustLoad(t, b, a, a)
	if len(cfg.Definitions) != 1 || len(cfg.Files) != 2 {
		t.Errorf("have %d controllers of %q, want 1 of 2 files", len(cfg.Definitions), cfg.Files)
	}
	if other := mustLoad(t, a, b); other.Hash != cfg.Hash {
		t.Error("the order of the paths changes the hash")
	}
}

// TestConfigMapMount lays files out as the kubelet does: links through ..data into a dated
// directory.
func TestConfigMapMount(t *testing.T) {
	dir := t.TempDir()
	dated := filepath.Join(dir, "..2026_01_02_03_04_05.1")
	if err := os.Mkdir(dated, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dated, "controllers.yaml"), []byte("apiVersion: kooperd.dev/v1alpha1\ncontrollers: {}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for link, target := range map[string]string{"..data": filepath.Base(dated), "controllers.yaml": "..data/controllers.yaml"} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{filepath.Join(dir, "controllers.yaml")}
	if diff := cmp.Diff(want, mustLoad(t, dir).Files); diff != "" {
		t.Errorf("files (-want +have):\n%s", diff)
	}
}

// TestHash wants a hash that depends on every file that is read, an imported one included, and on
// nothing else.
func TestHash(t *testing.T) {
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("testdata/good/module")); err != nil {
		t.Fatal(err)
	}
	before := mustLoad(t, dir)
	if want := []string{filepath.Join(dir, "controllers.cue"), filepath.Join(dir, "teams", "teams.cue")}; !cmp.Equal(want, before.Files) {
		t.Errorf("files are %q, want %q", before.Files, want)
	}
	if again := mustLoad(t, dir); again.Hash != before.Hash {
		t.Error("loading the same files twice gives two hashes")
	}
	copied := filepath.Join(t.TempDir(), "deeper", "config")
	if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if elsewhere := mustLoad(t, copied); elsewhere.Hash != before.Hash {
		t.Error("the same files elsewhere have another hash")
	}
	file := filepath.Join(dir, "teams", "teams.cue")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, append(text, '\n'), 0o600); err != nil {
		t.Fatal(err)
	}
	if after := mustLoad(t, dir); after.Hash == before.Hash {
		t.Error("changing an imported file leaves the hash as it was")
	}
}

// TestMisuse wants errors that are no diagnostics for what is not a mistake in a config.
func TestMisuse(t *testing.T) {
	var diags config.Diagnostics
	for name, options := range map[string]config.Options{"no paths": {Registry: testRegistry(t)}, "no registry": {}} {
		if _, err := config.Load(t.Context(), nil, options); err == nil || errors.As(err, &diags) {
			t.Errorf("%s: Load returned %v", name, err)
		}
	}
}

// TestConcurrentLoads runs under the race detector: loads share the registry and nothing else.
func TestConcurrentLoads(t *testing.T) {
	registry := testRegistry(t)
	want := mustLoad(t, "testdata/good/schema.cue")
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			good, err := config.Load(t.Context(), []string{"testdata/good/schema.cue"}, config.Options{Registry: registry})
			if err != nil {
				t.Errorf("load %d: %v", i, err)
				return
			}
			if diff := cmp.Diff(want, good, sameConfig); diff != "" {
				t.Errorf("load %d (-want +have):\n%s", i, diff)
			}
			if _, err := config.Load(t.Context(), []string{"testdata/bad/ten-mistakes.cue"}, config.Options{Registry: registry}); err == nil {
				t.Errorf("load %d: the bad file loads", i)
			}
		})
	}
	all.Wait()
}

// TestLoadsAreForgotten guards against CUE's contexts, which keep all that was ever built in them:
// a daemon that loads its config again and again must not grow.
func TestLoadsAreForgotten(t *testing.T) {
	registry := testRegistry(t)
	texts := [2]string{}
	for i := range texts {
		texts[i] = write(t, "f.cue", fmt.Sprintf(`apiVersion: "kooperd.dev/v1alpha1"
controllers: a: {watch: {apiVersion: "v1", kind: "Pod"}, timeout: "%ds", handler: exec: argv: ["x"]}
`, i+1))
	}
	run := func(n int) {
		for i := range n {
			if _, err := config.Load(t.Context(), []string{texts[i%2]}, config.Options{Registry: registry}); err != nil {
				t.Fatal(err)
			}
		}
	}
	loads := 1000
	if raceDetector {
		loads = 100 // each takes ten times as long
	}
	run(50) // what is made once, such as interned field names
	before := liveHeap()
	run(loads)
	after := liveHeap()
	t.Logf("%d loads have changed the heap by %d bytes", loads, int64(after)-int64(before))
	if after > before+1_000_000 {
		t.Errorf("%d loads have grown the heap by %d bytes, want less than 1 MB", loads, after-before)
	}
}

func liveHeap() uint64 {
	for range 3 {
		runtime.GC()
	}
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

// TestUnreadable names what is no config file at all.
func TestUnreadable(t *testing.T) {
	t.Chdir(t.TempDir())
	for name, text := range map[string]string{"notes.txt": "x", "good.yaml": "apiVersion: kooperd.dev/v1alpha1\ncontrollers: {}\n"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll("dir/sub.yaml", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("nowhere", "dir/dangling.yaml"); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir("pipes", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo("pipes/pipe.yaml", 0o600); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		paths []string
		want  string
	}{
		"missing":             {[]string{"none.yaml"}, "none.yaml: cannot be read: no such file or directory"},
		"other extension":     {[]string{"notes.txt"}, "notes.txt: is not a config file by its name; want .cue, .yaml, .yml or .json"},
		"dangling link":       {[]string{"dir"}, "dir/dangling.yaml: cannot be read: no such file or directory"},
		"pipe in a directory": {[]string{"pipes"}, "pipes/pipe.yaml: cannot be read: not a regular file"},
		"empty path":          {[]string{""}, ": cannot be read: no such file or directory"},
		"several": {[]string{"a.cue", "good.yaml", "b.json"},
			"a.cue: cannot be read: no such file or directory\nb.json: cannot be read: no such file or directory"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := load(t, tc.paths...)
			var diags config.Diagnostics
			if !errors.As(err, &diags) {
				t.Fatalf("Load returned %v, want Diagnostics", err)
			}
			if diff := cmp.Diff(tc.want, diags.Error()); diff != "" {
				t.Errorf("(-want +have):\n%s", diff)
			}
		})
	}
}

// TestJSONLines pins the form that programs read.
func TestJSONLines(t *testing.T) {
	t.Chdir(filepath.Join("testdata", "bad"))
	_, err := load(t, "dir-conflict")
	var diags config.Diagnostics
	if !errors.As(err, &diags) {
		t.Fatalf("Load returned %v, want Diagnostics", err)
	}
	want := `{"file":"dir-conflict/a.yaml","line":7,"column":14,"path":"controllers.backup.workers",` +
		`"message":"set to 3 in dir-conflict/a.yaml:7:14 and to 4 in dir-conflict/b.cue:3:31",` +
		`"related":[{"file":"dir-conflict/b.cue","line":3,"column":31}]}` + "\n"
	if diff := cmp.Diff(want, string(diags.JSONLines())); diff != "" {
		t.Errorf("(-want +have):\n%s", diff)
	}
}

// TestAbsolutePaths wants files named as they were given, or as an import found them.
func TestAbsolutePaths(t *testing.T) {
	dir, err := filepath.Abs("testdata/bad/dir-module")
	if err != nil {
		t.Fatal(err)
	}
	if _, err = load(t, dir); err == nil || !strings.Contains(err.Error(), filepath.Join(dir, "teams", "teams.cue")+":4:34: ") {
		t.Errorf("Load returned %v", err)
	}
}
