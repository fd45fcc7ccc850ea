package compose_test

import (
	"testing"

	"kooperd.dev/kooperd/test/compose/parts"
)

// TestFormerKindWithoutRights drops a kind, and with it the rights that are printed for it: the
// definition goes on, says why old children are left, and deletes them when it may.
func TestFormerKindWithoutRights(t *testing.T) {
	t.Parallel()
	r := newBoundRig(t)
	secret := owned{
		Owns: parts.Owns{APIVersion: "v1", Kind: "Secret"}, resource: secrets, inParents: true,
		body: map[string]any{"data": map[string]any{"key": "YQ=="}},
	}
	before := shape{kinds: []owned{ownConfigMaps(false), secret}}
	now := shape{kinds: before.kinds[:1]}
	r.shape(t, before, "a", "b")
	earlier := r.printed(t)
	revoke := r.grant(t, earlier...)
	p := r.start(t)
	r.parent(t, before)
	r.awaitChildren(t, before, "a", "b")
	p.kill9(t)
	revoke()

	r.shape(t, now, "a", "c")
	r.grant(t, r.printed(t)...)
	p = r.start(t)
	r.awaitChildren(t, now, "a", "c")
	r.ready(t, "p")
	p.AwaitLog(t, "children of a kind that the definition does not own any more cannot be looked at")
	r.grant(t, earlier...)
	r.await(t, secrets, "the old children to go", func(o objects) bool { return o[r.childName("a")] == nil && o[r.childName("b")] == nil })
	p.AwaitLog(t, "nothing is left of a kind that the definition does not own any more")
}
