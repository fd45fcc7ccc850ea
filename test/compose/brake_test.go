package compose_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// theWord finds in a message what a person has to write on a parent.
var theWord = regexp.MustCompile(`kooperd\.dev/allow-prune=(\S+),`)

// TestBrake drops the children of many parents, by no change of the file, and then gives the word
// for one of them, and last by a change of the file for all.
func TestBrake(t *testing.T) {
	t.Parallel()
	const parents = 30
	r := newRig(t)
	child := configMap("a")
	child.When = []string{"x"}
	r.define(t, child, fixed("b"))
	p := r.start(t)
	for i := range parents {
		r.thing(t, fmt.Sprintf("p%d", i), "x")
	}
	for i := range parents {
		r.ready(t, fmt.Sprintf("p%d", i))
	}
	for i := range parents {
		r.patch(t, things, fmt.Sprintf("p%d", i), `{"spec": {"text": "none"}}`)
	}
	r.await(t, things, "parents whose prune is held", func(o objects) bool { return len(o.held()) > 0 })
	for i := range parents {
		p.settle(t, fmt.Sprintf("p%d", i))
	}
	left := r.childrenNamed(t, "a")
	if most := parents / 5 * 2; parents-len(left) > most {
		t.Errorf("%d of %d children were deleted before the brake held, want at most %d", parents-len(left), 2*parents, most)
	}
	held := r.list(t, things).held()
	if len(held) != len(left) {
		t.Errorf("%d children are left, and the deletions of %d parents are held", len(left), len(held))
	}
	p.Await(t, "the state PruneHeld", func() bool { return strings.Contains(p.readyz(t), "[-] things: PruneHeld since") })

	_, _, message := r.list(t, things).condition(held[0], "Degraded")
	word := theWord.FindStringSubmatch(message)
	if word == nil {
		t.Fatalf("the condition does not say what to do: %s", message)
	}
	r.patch(t, things, held[0], fmt.Sprintf(`{"metadata": {"annotations": {"kooperd.dev/allow-prune": %q}}}`, word[1]))
	r.await(t, configMaps, "the child to go for which there was a word", func(o objects) bool { return o[held[0]+"-a"] == nil })
	p.settle(t, held[1])
	if now := r.childrenNamed(t, "a"); len(now) != len(left)-1 {
		t.Errorf("after a word on one parent, %d children are left of %d", len(now), len(left))
	}

	p.kill9(t)
	p = r.start(t)
	for i := range parents {
		p.settle(t, fmt.Sprintf("p%d", i))
	}
	if now := r.childrenNamed(t, "a"); len(now) == 0 {
		t.Error("after a restart, the last child went")
	}
	r.define(t, fixed("b"))
	p.reload(t)
	r.await(t, configMaps, "the children to go that the changed file has no more", func(o objects) bool {
		for name := range o {
			if strings.HasSuffix(name, "-a") {
				return false
			}
		}
		return true
	})
	p.Await(t, "the end of PruneHeld", func() bool { return strings.Contains(p.readyz(t), "things: Running since") })
}

// TestBrakeIsNotForTheParents deletes many parents, and then drops children by the file.
func TestBrakeIsNotForTheParents(t *testing.T) {
	t.Parallel()
	const parents = 24
	r := newRig(t)
	r.define(t, configMap("a"))
	p := r.start(t)
	for i := range parents {
		r.thing(t, fmt.Sprintf("p%d", i), "x")
	}
	for i := range parents {
		r.ready(t, fmt.Sprintf("p%d", i))
	}
	for i := range parents / 2 {
		r.remove(t, things, fmt.Sprintf("p%d", i))
	}
	r.await(t, things, "the parents to go", func(o objects) bool { return len(o) == parents/2 })
	p.kill9(t)
	r.define(t) // It changes while no process runs.
	p = r.start(t)
	r.await(t, configMaps, "all children to go", func(o objects) bool {
		for name := range o {
			if strings.HasSuffix(name, "-a") {
				return false
			}
		}
		return true
	})
	if text := p.readyz(t); strings.Contains(text, "PruneHeld") {
		t.Errorf("something is held: %s", text)
	}
}

// readyz is what the process says of its definitions.
func (p *replica) readyz(t *testing.T) string {
	t.Helper()
	_, text := p.Get(t, "health", "/readyz?verbose")
	return text
}

// held are the parents of which deletions are held.
func (o objects) held() (names []string) {
	for _, name := range o.names() {
		if status, reason, _ := o.condition(name, "Degraded"); status == "True" && reason == "PruneHeld" {
			names = append(names, name)
		}
	}
	return names
}

// childrenNamed are the ConfigMaps with that name of a child.
func (r *rig) childrenNamed(t *testing.T, child string) (names []string) {
	t.Helper()
	for _, name := range r.list(t, configMaps).names() {
		if strings.HasSuffix(name, "-"+child) {
			names = append(names, name)
		}
	}
	return names
}
