package reload_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"kooperd.dev/kooperd/test/reload/probe"
)

// memoryLimit is that of the leader's cgroup, in bytes.
const memoryLimit = 128 << 20

// endless takes time without end, and greedy 4 GiB.
const (
	endless = "_r: list.Range(0, 3000, 1)\n_a: [for x in _r for y in _r for z in _r if x+y+z < 0 {x}]\n_b: len(_a)\n"
	greedy  = "_s: strings.Repeat(\"x\", 1000000)\n_a: [for x in list.Range(0, 4300, 1) {\"\\(x)\" + _s}]\n_b: len(_a)\n"
)

// TestRunaway offers configs that take too much to a leader in a cgroup that has little memory. It
// has to keep the lease, go on with its work, and say why the config does not run.
func TestRunaway(t *testing.T) {
	t.Parallel()
	binary := limited(t, probed)
	r := newRig(t)
	r.create(t, "a", probe.Requeues)
	path := filepath.Join(t.TempDir(), "controllers.cue")
	writeFile(t, path, r.config(revisions{"d": 1}))
	opts := r.options(path)
	opts.Binary = binary
	f := r.runWith(t, opts)
	r.awaitRevision(t, f, 1, "d")
	lease := r.leaseOf(t)
	for name, text := range map[string]string{"endless": endless, "greedy": greedy} {
		n := len(r.record.all(t))
		replaceFile(t, path, "import (\n\t\"list\"\n\t\"strings\"\n)\n_c: strings.MaxRunes(len(list.Range(0, 3, 1)))\n"+r.config(revisions{"d": 2})+text+
			"controllers: d: workers: 4 + 0*_b\n")
		f.awaitStatus(t, "the changed config: ReloadPending", "evaluating the config takes")
		_, body := f.Get(t, "health", "/readyz?verbose")
		t.Logf("%s: %s", name, strings.TrimSpace(body))
		if len(r.record.all(t)) == n {
			t.Errorf("with %s: no call while the config was evaluated", name)
		}
		replaceFile(t, path, r.config(revisions{"d": 1}))
		f.Await(t, "the good config", func() bool { return !f.hasStatus(t, "the changed config") })
	}
	replaceFile(t, path, r.config(revisions{"d": 3}))
	r.awaitRevision(t, f, 3, "d")
	if diff := gocmp.Diff(lease, r.leaseOf(t)); diff != "" {
		t.Errorf("the lease (-before +after):\n%s", diff)
	}
	for _, calls := range byKey(r.record.all(t)) {
		for _, complaint := range complaints(calls, 0) {
			t.Error(complaint)
		}
	}
	if r.record.has(t, "d", "2") {
		t.Error("a config that takes too much has become what runs")
	}
}

// limited returns a program that runs another one in a cgroup with little memory. It skips the test
// where no cgroup can be made.
func limited(t *testing.T, program string) string {
	t.Helper()
	name := "kooperd-" + filepath.Base(filepath.Dir(t.TempDir()))
	group, limit := "/sys/fs/cgroup/memory/"+name, "memory.limit_in_bytes" // version 1
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err == nil {
		group, limit = "/sys/fs/cgroup/"+name, "memory.max" // version 2
	}
	if err := os.Mkdir(group, 0o700); err != nil {
		t.Skipf("making a cgroup: %v", err)
	}
	t.Cleanup(func() {
		if err := os.Remove(group); err != nil && !errors.Is(err, syscall.EBUSY) {
			t.Errorf("removing the cgroup: %v", err)
		}
	})
	if err := os.WriteFile(filepath.Join(group, limit), []byte(strconv.Itoa(memoryLimit)), 0o600); err != nil {
		t.Skipf("limiting the memory of a cgroup: %v", err)
	}
	script := filepath.Join(t.TempDir(), "limited")
	text := fmt.Sprintf("#!/bin/sh\necho $$ > %s/cgroup.procs && exec %s \"$@\"\n", group, program)
	if err := os.WriteFile(script, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	return script
}
