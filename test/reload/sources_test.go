package reload_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"kooperd.dev/kooperd/test/reload/probe"
)

// TestVolume changes the config as the kubelet changes the volume of a ConfigMap: it swaps the
// symbolic link to a directory, and removes the old one.
func TestVolume(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.create(t, "a", "")
	dir := t.TempDir()
	publish := func(revision int) {
		data := fmt.Sprintf("..revision-%d", revision)
		if err := os.Mkdir(filepath.Join(dir, data), 0o700); err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(dir, data, "controllers.cue"), r.config(revisions{"d": revision}))
		if err := os.Symlink(data, filepath.Join(dir, "..data_tmp")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")); err != nil {
			t.Fatal(err)
		}
		if err := os.RemoveAll(filepath.Join(dir, fmt.Sprintf("..revision-%d", revision-1))); err != nil {
			t.Fatal(err)
		}
	}
	publish(1)
	if err := os.Symlink(filepath.Join("..data", "controllers.cue"), filepath.Join(dir, "controllers.cue")); err != nil {
		t.Fatal(err)
	}
	f := r.run(t, dir)
	r.awaitRevision(t, f, 1, "d")
	for revision := 2; revision <= 3; revision++ {
		publish(revision) // No signal: it is found by looking.
		r.awaitRevision(t, f, revision, "d")
	}
	if n := len(f.Lines("the changed config does not run; the one before goes on")); n > 0 {
		t.Errorf("a swap was refused:\n%s", f.Tail(20))
	}
}

// TestDirectory adds a file to a directory, changes one, and removes one.
func TestDirectory(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.create(t, "a", "")
	dir := t.TempDir()
	write := func(file, definition string, revision int) {
		handler := fmt.Sprintf(`revision: "%d"`, revision)
		replaceFile(t, filepath.Join(dir, file), r.configOf(r.definition(definition, handler, "")))
	}
	write("1.cue", "d1", 1)
	write("2.cue", "d2", 1)
	f := r.run(t, dir)
	r.awaitRevision(t, f, 1, "d1", "d2")
	write("3.cue", "d3", 1)
	r.awaitRevision(t, f, 1, "d3")
	write("1.cue", "d1", 2)
	r.awaitRevision(t, f, 2, "d1")
	if err := os.Remove(filepath.Join(dir, "2.cue")); err != nil {
		t.Fatal(err)
	}
	f.AwaitLog(t, "config changed", "removed", "[d2]")
	f.Await(t, "the end of d2", func() bool { return !f.hasStatus(t, "d2:") })
	if _, err := r.change(t.Context(), "a", "1"); err != nil {
		t.Fatal(err)
	}
	const before, after = 4, 2
	f.Await(t, "the calls for the change", func() bool { return len(r.record.all(t)) == before+after })
	for k, calls := range byKey(r.record.all(t)) {
		changes := 1
		if k.definition == "d2" {
			changes = 0
		}
		for _, complaint := range complaints(calls, changes) {
			t.Error(complaint)
		}
	}
}

// TestImport changes a file that the config imports, and nothing else.
func TestImport(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.create(t, "a", "")
	dir := t.TempDir()
	for _, sub := range []string{"cue.mod", "shared"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	writeFile(t, filepath.Join(dir, "cue.mod", "module.cue"), "module: \"example.com/config@v0\"\nlanguage: version: \"v0.13.0\"\n")
	imported := filepath.Join(dir, "shared", "shared.cue")
	writeFile(t, imported, "package shared\n\nrevision: \"1\"\n")
	path := filepath.Join(dir, "controllers.cue")
	writeFile(t, path, "package controllers\n\nimport \"example.com/config/shared\"\n\n"+
		r.configOf(r.definition("d", "revision: shared.revision", "")))
	f := r.run(t, path)
	r.awaitRevision(t, f, 1, "d")
	replaceFile(t, imported, "package shared\n\nrevision: \"2\"\n")
	r.awaitRevision(t, f, 2, "d")
	replaceFile(t, imported, "package shared\n\nrevision: 3\n")
	f.awaitStatus(t, "the changed config: ReloadPending", "revision")
	replaceFile(t, imported, "package shared\n\nrevision: \"4\"\n")
	r.awaitRevision(t, f, 4, "d")
	f.reload(t)
	f.counted(t, 3, 1) // What was only looked at again, as imports have brought it in, does not count.
}

// counted checks how many configs were accepted and refused.
func (f *follower) counted(t *testing.T, accepted, refused float64) {
	t.Helper()
	series := f.series(t)
	for result, want := range map[string]float64{"accepted": accepted, "refused": refused} {
		if have, ok := series[fmt.Sprintf("kooperd_config_reloads_total{result=%q}", result)]; !ok || have != want {
			t.Errorf("%v configs were %s, want %v", have, result, want)
		}
	}
}

// TestSignalWithoutReload asks a process for a reload that does not follow its config. It goes on.
func TestSignalWithoutReload(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.create(t, "a", "")
	path := filepath.Join(t.TempDir(), "controllers.cue")
	writeFile(t, path, r.config(revisions{"d": 1}))
	f := r.run(t, path, "--reload=false")
	r.awaitRevision(t, f, 1, "d")
	f.Signal(t, syscall.SIGHUP)
	f.AwaitLog(t, "SIGHUP does nothing: the config is not read again")
	if _, err := r.change(t.Context(), "a", "1"); err != nil {
		t.Fatal(err)
	}
	f.Await(t, "the call for the change", func() bool { return len(r.record.all(t)) == 2 })
	if n := len(f.Lines("stopping: no new work")); n > 0 {
		t.Errorf("SIGHUP has stopped the process:\n%s", f.Tail(20))
	}
}

// TestSignal asks for a reload of what is the same, and of what has changed.
func TestSignal(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.create(t, "a", "")
	path := filepath.Join(t.TempDir(), "controllers.cue")
	writeFile(t, path, r.config(revisions{"d": 1}))
	f := r.run(t, path)
	r.awaitRevision(t, f, 1, "d")
	f.reload(t)
	f.AwaitLog(t, "config was read again", "result", "accepted", "changed", "false")
	f.counted(t, 1, 0)
	replaceFile(t, path, r.config(revisions{"d": 2}))
	f.reload(t)
	r.awaitRevision(t, f, 2, "d")
	f.counted(t, 2, 0)
	if n := len(r.record.all(t)); n != 2 {
		t.Errorf("%d calls, want one for each revision: %+v", n, r.record.all(t))
	}
	off := newRig(t)
	off.create(t, "a", "")
	path = filepath.Join(t.TempDir(), "controllers.cue")
	writeFile(t, path, off.config(revisions{"d": 1}))
	f = off.run(t, path, "--reload=false")
	off.awaitRevision(t, f, 1, "d")
	f.counted(t, 1, 0)
}

// TestRemoved removes a definition with everything of it, and adds it again.
func TestRemoved(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, role := range []string{"", probe.Slow, probe.Requeues, probe.Fails} {
		r.create(t, "object-"+role+"0", role)
	}
	const objects = 4
	secrets := fmt.Sprintf("removed: {watch: {apiVersion: \"v1\", kind: \"Secret\", namespaces: [%q]}, handler: probe: revision: \"1\"}\n", r.namespace)
	kept := r.definition("kept", `revision: "1"`, "") + r.definition("fails", `revision: "1"`, "")
	with := kept + secrets + r.definition("gone", `revision: "1"`, "")
	mark := shared.AuditMark(t)
	path := filepath.Join(t.TempDir(), "controllers.cue")
	writeFile(t, path, r.configOf(with))
	f := r.run(t, path)
	f.Await(t, "the first calls", func() bool { return len(byKey(r.record.all(t))) == 3*objects })
	f.Await(t, "the source of Secrets", func() bool { return f.seriesOf(t, `kind="Secret"`) > 0 })

	replaceFile(t, path, r.configOf(kept))
	f.AwaitLog(t, "config changed", "removed", "[gone removed]")
	f.Await(t, "the end of what was removed", func() bool {
		return !f.hasStatus(t, "removed:") && !f.hasStatus(t, "gone:") && f.seriesOf(t, `kind="Secret"`) == 0 &&
			len(ofDefinitions(f.series(t), "gone", "removed")) == 0
	})
	f.Await(t, "the end of the watch on Secrets", func() bool {
		for _, e := range shared.AuditSince(t, mark, r.namespace) {
			if e.ObjectRef.Namespace == r.namespace && e.ObjectRef.Resource == "secrets" && e.Verb == "watch" {
				return true // It is in the log when it has ended.
			}
		}
		return false
	})
	n := len(r.record.of(t, "gone"))
	later := len(r.record.of(t, "kept"))
	f.Await(t, "more calls of what is kept", func() bool { return len(r.record.of(t, "kept")) > later+5 })
	if have := len(r.record.of(t, "gone")); have != n {
		t.Errorf("the removed definition has had %d more calls", have-n)
	}

	replaceFile(t, path, r.configOf(with))
	f.Await(t, "first calls of what is there again", func() bool {
		return len(byKey(r.record.of(t, "gone")[n:])) == objects
	})
	for k, calls := range byKey(r.record.of(t, "gone")[n:]) {
		for _, complaint := range complaints(calls, 0) {
			t.Errorf("%s: %s", k.object, complaint)
		}
		if calls[0].Cause != "initial" || calls[0].Attempt != 0 {
			t.Errorf("%s begins with %s, attempt %d", k.object, calls[0].Cause, calls[0].Attempt)
		}
	}
	for k, calls := range byKey(r.record.of(t, "kept")) {
		for _, complaint := range complaints(calls, 0) {
			t.Errorf("%s: %s", k.object, complaint)
		}
	}
	if v := f.series(t)[`kooperd_controller_retries_total{controller="gone"}`]; v > float64(len(r.record.of(t, "gone"))-n) {
		t.Errorf("the metrics of the definition did not begin anew: %v retries", v)
	}
}

// seriesOf returns how many series have a label, written as label="value".
func (f *follower) seriesOf(t testing.TB, label string) (n int) {
	t.Helper()
	for series := range f.series(t) {
		if strings.Contains(series, label) {
			n++
		}
	}
	return n
}
