package compose_test

import (
	"bytes"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"k8s.io/apimachinery/pkg/types"

	"kooperd.dev/kooperd/test/compose/parts"
)

// TestASlowComposerMakesNothingForTheDead deletes parents while their composer is asked.
func TestASlowComposerMakesNothingForTheDead(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	pipes := t.TempDir()
	r.defineAll(t, map[string]definition{definitionName: {
		Config:   parts.Config{Children: []parts.Child{configMap("a")}, Wait: pipes, Status: map[string]any{"text": "{text}"}},
		settings: map[string]any{"mode": "concurrent", "workers": 4},
	}})
	p := r.start(t)
	var dead []types.UID
	var asked []*os.File
	for _, name := range []string{"deleted", "again", "deleting"} {
		if err := syscall.Mkfifo(filepath.Join(pipes, name), 0o600); err != nil {
			t.Fatal(err)
		}
		dead = append(dead, r.thing(t, name, "wait").GetUID())
		if name == "deleting" {
			r.patch(t, things, name, `{"metadata": {"finalizers": ["example.com/theirs"]}}`)
		}
		pipe, err := os.OpenFile(filepath.Join(pipes, name), os.O_WRONLY, 0) // It opens when the composer reads it.
		if err != nil {
			t.Fatal(err)
		}
		asked = append(asked, pipe)
	}
	for _, name := range []string{"deleted", "again", "deleting"} {
		r.remove(t, things, name)
	}
	r.thing(t, "again", "x")
	r.thing(t, "q", "x")
	r.ready(t, "q") // Its events come after those of the others.
	for _, pipe := range asked {
		if err := pipe.Close(); err != nil {
			t.Fatal(err)
		}
	}
	r.ready(t, "again")
	if status := p.Stop(t); status != 0 { // It waits for calls under way.
		t.Errorf("exit status is %d", status)
	}
	for _, e := range r.audit(t, r.begun) {
		for _, uid := range dead {
			if e.IsWrite() && bytes.Contains(e.RequestObject, []byte(uid)) {
				t.Errorf("%s %s: %s", e.Verb, e.RequestURI, e.RequestObject)
			}
		}
	}
	if all := r.list(t, configMaps); all["deleted-a"] != nil || all["deleting-a"] != nil || all["again-a"] == nil {
		t.Errorf("the children are %v", all.names())
	}
	r.patch(t, things, "deleting", `{"metadata": {"finalizers": null}}`)
}
