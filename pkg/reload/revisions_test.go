package reload

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/engine"
	"kooperd.dev/kooperd/pkg/statusz"
)

func TestRevisions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &textSource{}
		r, _ := started(t, s, definitions("a"), nil)
		for i := range 7 {
			s.set(definitions("a", fmt.Sprintf("b%d", i)), nil)
			s.set("no config", nil) // It is refused, and no revision.
		}
		revisions := RevisionsOf(r)
		if len(revisions) != maxRevisions || revisions[0].Hash != r.Running().Hash {
			t.Fatalf("%d revisions: %+v", len(revisions), revisions)
		}
		for i, later := range revisions[:4] {
			if earlier := revisions[i+1]; later.Hash == earlier.Hash || !later.Accepted.After(earlier.Accepted) {
				t.Errorf("%+v comes before %+v", later, earlier)
			}
		}
	})
}

func TestChangesOfARevision(t *testing.T) {
	evaluate := func(text string) *config.Config {
		t.Helper()
		files, err := config.NewFiles(config.File{Name: "c.yaml", Path: "/c.yaml", Data: []byte(text)})
		if err != nil {
			t.Fatal(err)
		}
		cfg, _, err := evaluateWithLog(t)(t.Context(), files)
		if err != nil {
			t.Fatal(err)
		}
		return cfg
	}
	before := begin(evaluate(definitions("a", "b=info", "c")))
	after := before.follow(evaluate(definitions("b=debug", "c", "d")), engine.Changes{Added: []string{"d"}, Replaced: []string{"b"}, Removed: []string{"a"}})
	want := []statusz.Change{
		{Definition: "a", What: "removed"},
		{Definition: "b", What: "changed", Diff: "@@ -2,3 +2,3 @@\n   log:\n-    level: info\n+    level: debug\n     message: object seen\n"},
		{Definition: "d", What: "added"},
	}
	if diff := cmp.Diff(want, after.revisions[0].Changed); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if next := after.revisions[0]; next.ChangedTotal != len(want) || next.Accepted.Location() != time.UTC || after.revisions[1].Accepted.Location() != time.UTC {
		t.Errorf("%d changes at %s, after one of %s", next.ChangedTotal, next.Accepted, after.revisions[1].Accepted)
	}
	if len(after.revisions) != 2 || after.revisions[1].Hash != before.config.Hash || len(before.revisions) != 1 {
		t.Errorf("revisions: %+v", after.revisions)
	}
	var names []string
	for i := range 200 {
		names = append(names, fmt.Sprint("x", i))
	}
	if many := before.follow(before.config, engine.Changes{Added: names}); len(many.revisions[0].Changed) != maxChanges || many.revisions[0].ChangedTotal != 200 {
		t.Errorf("%d changes of %d are kept", len(many.revisions[0].Changed), many.revisions[0].ChangedTotal)
	}
}

func TestDiffsAreBounded(t *testing.T) {
	long := func(change string) config.Definition {
		var b strings.Builder
		for i := range 150 {
			fmt.Fprintf(&b, "namespace-%s-%03d, ", change, i)
		}
		text := strings.Replace(definitions("a"), "kind: Pod}", "kind: Pod, namespaces: ["+strings.TrimSuffix(b.String(), ", ")+"]}", 1)
		files, err := config.NewFiles(config.File{Name: "c.yaml", Path: "/c.yaml", Data: []byte(text)})
		if err != nil {
			t.Fatal(err)
		}
		cfg, _, err := evaluateWithLog(t)(t.Context(), files)
		if err != nil {
			t.Fatal(err)
		}
		return cfg.Definitions[0]
	}
	got := diffOf(long("a"), long("b"))
	if len(got) > maxDiff+len("…\n") || !strings.HasSuffix(got, "\n…\n") || !strings.Contains(got, "-  - namespace-a-000\n") {
		t.Errorf("%d bytes:\n%s", len(got), got)
	}
}
