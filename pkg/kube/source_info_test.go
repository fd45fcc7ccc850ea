package kube

import (
	"fmt"
	"testing"
)

// TestKeysOf looks at keys while the cache changes, which would wait for ever if it were locked.
func TestKeysOf(t *testing.T) {
	c := newObjectCache("")
	const objects = 3*keysAtATime + 7
	for i := range objects {
		c.set(Key{Namespace: "a", Name: fmt.Sprint(i)}, &object{})
	}
	seen := map[Key]int{}
	for key := range keysOf(c) {
		if seen[key]++; len(seen) == 1 {
			c.set(Key{Namespace: "b", Name: "new"}, &object{})
			c.remove(key, "")
		}
	}
	delete(seen, Key{Namespace: "b", Name: "new"}) // It may be seen, or not.
	for key, n := range seen {
		if n != 1 {
			t.Errorf("%v is seen %d times", key, n)
		}
	}
	if len(seen) != objects || c.collected != nil {
		t.Errorf("%d keys are seen, want %d, and %d are kept", len(seen), objects, len(c.collected))
	}
	before := c.objects
	n := 0
	for range keysOf(c) {
		if n++; n == 1 {
			c.reset(map[Key]*object{}, "2")
		}
	}
	if n != len(before) || len(c.objects) != 0 {
		t.Errorf("%d keys are seen of a list that another one has replaced, want %d", n, len(before))
	}
	for range keysOf(c) {
		t.Error("a key is seen in an empty cache")
	}
	c.set(Key{Name: "one"}, &object{})
	c.set(Key{Name: "two"}, &object{})
	n = 0
	for range keysOf(c) {
		n++
		break
	}
	if n != 1 {
		t.Errorf("%d keys are seen before the end", n)
	}
}
