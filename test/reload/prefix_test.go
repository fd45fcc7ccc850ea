package reload_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"kooperd.dev/kooperd/pkg/handlers"
)

// steadyRig is a daemon with three definitions that have handled their objects and have nothing to
// do.
type steadyRig struct {
	*rig
	follower *follower
	path     string
	good     string // the text of the config
	hash     string
	calls    int
}

// newSteadyRig runs a config; extension is that of its file.
func newSteadyRig(t *testing.T, extension, text string) *steadyRig {
	t.Helper()
	s := &steadyRig{rig: newRig(t)}
	s.path = filepath.Join(t.TempDir(), "controllers"+extension)
	s.good = strings.ReplaceAll(text, "NAMESPACE", s.namespace)
	s.create(t, "a", "")
	s.create(t, "b", "")
	writeFile(t, s.path, s.good)
	s.follower = s.run(t, s.path)
	const definitions, objects = 3, 2
	s.calls = definitions * objects
	s.follower.Await(t, "a first call for each object", func() bool { return len(s.record.all(t)) == s.calls })
	s.hash = s.follower.configHash(t)
	return s
}

// offer writes a text over the file in place and waits until it has been decided about.
func (s *steadyRig) offer(t *testing.T, text string) {
	t.Helper()
	writeFile(t, s.path, text)
	s.follower.reload(t)
}

// unchanged fails the test when anything about what runs has changed.
func (s *steadyRig) unchanged(t *testing.T, what string) {
	t.Helper()
	if have := s.follower.configHash(t); have != s.hash {
		t.Errorf("%s: the hash of the config is %s, want %s", what, have, s.hash)
	}
	if lines := s.follower.Lines("config changed"); len(lines) > 0 {
		t.Errorf("%s: %s", what, lines[0].Raw)
	}
	if n := len(s.record.all(t)); n != s.calls {
		t.Fatalf("%s: %d calls, want %d: %+v", what, n, s.calls, s.record.all(t)[s.calls:])
	}
	for _, name := range []string{"d1", "d2", "d3"} {
		if !s.follower.hasStatus(t, name+": Running") {
			t.Errorf("%s: /readyz?verbose does not show %s as running", what, name)
		}
	}
}

// refused fails the test when the config that was offered last is not refused for that reason.
func (s *steadyRig) refused(t *testing.T, reason string) {
	t.Helper()
	s.follower.awaitStatus(t, "the changed config: ReloadPending", reason)
	if v := s.follower.value(t, "kooperd_config_last_reload_successful"); v != 0 {
		t.Errorf("kooperd_config_last_reload_successful is %v, want 0", v)
	}
	lines := s.follower.Lines("the changed config does not run; the one before goes on", "result", "refused")
	if len(lines) == 0 || !strings.Contains(lines[len(lines)-1].Field("err"), reason) {
		t.Errorf("the log does not say %q:\n%s", reason, s.follower.Tail(5))
	}
}

// works shows that the definitions still work, as they did.
func (s *steadyRig) works(t *testing.T) {
	t.Helper()
	s.offer(t, s.good)
	s.unchanged(t, "with the good file again")
	s.follower.Await(t, "the config being well", func() bool {
		return s.follower.value(t, "kooperd_config_last_reload_successful") == 1 && !s.follower.hasStatus(t, "the changed config")
	})
	if _, err := s.change(t.Context(), "a", "1"); err != nil {
		t.Fatal(err)
	}
	const definitions = 3
	s.follower.Await(t, "a call of each definition", func() bool { return len(s.record.all(t)) == s.calls+definitions })
	for _, c := range s.record.all(t)[s.calls:] {
		if c.Cause != handlers.CauseChange || c.Revision != "1" {
			t.Errorf("the last calls are %+v, want changes by revision 1", c)
		}
	}
}

const goodCUE = `apiVersion: "kooperd.dev/v1alpha1"
leaderElection: {name: "reload", namespace: "NAMESPACE"}
controllers: [string]: {
	watch: {apiVersion: "v1", kind: "ConfigMap", namespaces: ["NAMESPACE"], labelSelector: "probe"}
	handler: probe: revision: "1"
}
controllers: d1: {}
controllers: d2: resync: "off"
controllers: d3: {mode: "concurrent", workers: 2}
`

const goodYAML = `apiVersion: kooperd.dev/v1alpha1
leaderElection: {name: reload, namespace: NAMESPACE}
controllers:
  d1: {watch: {apiVersion: v1, kind: ConfigMap, namespaces: [NAMESPACE], labelSelector: probe}, handler: {probe: {revision: "1"}}}
  d2:
    watch: {apiVersion: v1, kind: ConfigMap, namespaces: [NAMESPACE], labelSelector: probe}
    handler: {probe: {revision: "1"}}
    timeout: 100s
  d3:
    watch:
      apiVersion: v1
      kind: ConfigMap
      namespaces:
      - NAMESPACE
      labelSelector: probe
    handler:
      probe:
        revision: "1"
    mode: concurrent
    workers: 16
`

// TestPrefixes writes the beginnings of a good file over it, which a reader finds while the file is
// being written, or after the disk is full. Many of them are good CUE and good YAML.
func TestPrefixes(t *testing.T) {
	t.Parallel()
	for extension, text := range map[string]string{".cue": goodCUE, ".yaml": goodYAML} {
		t.Run(extension[1:], func(t *testing.T) {
			t.Parallel()
			s := newSteadyRig(t, extension, text)
			whole := len(strings.TrimSpace(s.good))
			step := size(whole/12, 1)
			for n := whole - 1; n > 0; n -= step {
				s.offer(t, s.good[:n])
				s.unchanged(t, fmt.Sprintf("with the first %d of %d bytes", n, len(s.good)))
			}
			s.offer(t, "")
			s.unchanged(t, "with an empty file")
			s.works(t)
		})
	}
}

// TestMistakes offers whole files that must not run.
func TestMistakes(t *testing.T) {
	t.Parallel()
	s := newSteadyRig(t, ".cue", goodCUE)
	offers := []struct{ what, text, reason string }{
		{"most definitions gone", strings.NewReplacer("controllers: d1: {}\n", "", "controllers: d2: resync: \"off\"\n", "").Replace(s.good),
			"2 of 3 definitions are missing: to remove them, name them in `removed` (d1, d2), or start with --allow-removals"},
		{"a mistake", s.good + "controllers: d2: timeout: 3000\n", "timeout"},
		{"another lease", strings.Replace(s.good, `name: "reload"`, `name: "other"`, 1),
			"leaderElection needs a restart, and nothing else is applied before: name is reload and would be other"},
	}
	for _, o := range offers {
		s.offer(t, o.text)
		s.refused(t, o.reason)
		s.unchanged(t, o.what)
	}
	s.works(t)
}
