package compose_test

import (
	"fmt"
	"testing"
)

// TestPatchDroppedInARollout has a change that drops all patches, and is rolled out: what a parent
// that is held has contributed stays until the change is its.
func TestPatchDroppedInARollout(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.target(t, "shared")
	define := func(version string, patches bool) {
		child := configMap("a")
		child.ReadyBy = "ready-" + version
		child.Object["data"] = map[string]any{"version": version}
		d := definition{}
		if patches {
			d = patching(patchOf("shared", "{name}"))
			d.NoOwns = false
		}
		d.Children, d.settings = append(d.Children, child), map[string]any{"rollout": map[string]any{"maxUnavailable": 1}}
		r.defineAll(t, map[string]definition{definitionName: d})
	}
	heal := func(parent, version string) {
		t.Helper()
		r.patch(t, configMaps, parent+"-a", fmt.Sprintf(`{"metadata": {"annotations": {"ready-%s": ""}}}`, version))
	}
	define("1", true)
	r.createRange(t, 0, 2)
	p := r.start(t)
	r.awaitPatched(t, "shared", map[string]string{"own": "1", "p0": "x", "p1": "x"})
	for _, parent := range []string{"p0", "p1"} {
		heal(parent, "1")
		r.ready(t, parent)
	}

	define("2", false)
	p.reload(t)
	var first, held string
	r.await(t, configMaps, "the change of one parent", func(o objects) bool {
		for _, parents := range [][2]string{{"p0", "p1"}, {"p1", "p0"}} {
			if first, held = parents[0], parents[1]; o.text(first+"-a", "data", "version") == "2" {
				return true
			}
		}
		return false
	})
	p.AwaitLog(t, "what was contributed to objects of a kind that the definition does not patch any more cannot be removed")
	r.awaitPatched(t, "shared", map[string]string{"own": "1", held: "x"})
	if data, _, _ := contentOf(r.get(t, configMaps, "shared")); data[held] != "x" {
		t.Errorf("what the parent that is held has contributed is gone: %v", data)
	}
	if version := r.list(t, configMaps).text(held+"-a", "data", "version"); version != "1" {
		t.Fatalf("both parents have version %s", version)
	}

	heal(first, "2")
	r.await(t, configMaps, "the change of the other parent", func(o objects) bool { return o.text(held+"-a", "data", "version") == "2" })
	heal(held, "2")
	r.awaitPatched(t, "shared", map[string]string{"own": "1"})
	p.AwaitLog(t, "nothing is contributed any more to objects of a kind that the definition does not patch any more")
}
