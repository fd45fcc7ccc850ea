package apply_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/handlers/handlerstest"
)

// dear is a config with an expression whose cost is the square of what a parent says.
const dear = `children: {a: {template: {apiVersion: e.com/v1, kind: T, metadata: {name: m}, x: "${object.spec.aliases.map(a, object.spec.aliases.map(b, b)).size()}"}}}`

// manyAliases is a parent with so many aliases.
func manyAliases(n int) string {
	return strings.Replace(site, "aliases: [a.org, b.org]", "aliases: ["+strings.Repeat("a.org,", n)+"]", 1)
}

// An expression that is too dear for one parent is an error of that parent, which is not tried
// again until something changes; the same composer goes on for others.
func TestComposeTooDear(t *testing.T) {
	composer := shopComposer(t, dear)
	ask := func(parent string) error {
		for { // On a slow machine, the time may be over before.
			_, err := composer.Compose(t.Context(), handlers.ComposeRequest{Object: handlerstest.Object(t, objectOf(t, parent))})
			if !errors.Is(err, context.DeadlineExceeded) || t.Context().Err() != nil {
				return err
			}
		}
	}
	want := "child a: evaluating x: operation cancelled: actual cost limit exceeded"
	for range 2 {
		if err := ask(manyAliases(3000)); err == nil || err.Error() != want || !handlers.IsTerminal(err) {
			t.Errorf("the error is %v, want %s, until something changes", err, want)
		}
		if err := ask(site); err != nil {
			t.Errorf("another parent: %v", err)
		}
	}
}

// An evaluation ends with its context, and is tried again then.
func TestComposeEndsWithItsContext(t *testing.T) {
	composer := shopComposer(t, dear)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := composer.Compose(ctx, handlers.ComposeRequest{Object: handlerstest.Object(t, objectOf(t, manyAliases(3000)))})
	if !errors.Is(err, context.Canceled) || handlers.IsTerminal(err) {
		t.Errorf("the error is %v, want the end of the context, which passes", err)
	}
}

// What forEach multiplies is bounded: 5000 objects with a text of the parent in each.
func TestComposeTooLarge(t *testing.T) {
	const config = `children: {a: {forEach: object.spec.aliases, key: item, template: {apiVersion: e.com/v1, kind: T, metadata: {name: "${item}"}, x: "${item} ${object.spec.html}"}}}`
	var aliases strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&aliases, "a%d,", i)
	}
	parent := strings.Replace(site, "aliases: [a.org, b.org]", "aliases: ["+aliases.String()+"]", 1)
	large := composed{config: config, parent: strings.Replace(parent, `"<p>"`, strings.Repeat("x", 1<<20), 1)}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := large.ask(t)
	runtime.ReadMemStats(&after)
	if want := "child a: the objects of forEach have more than 64 MiB together"; err == nil || err.Error() != want || !handlers.IsTerminal(err) {
		t.Errorf("the error is %v, want %s", err, want)
	}
	if took := (after.TotalAlloc - before.TotalAlloc) >> 20; took > 512 {
		t.Errorf("it took %d MiB", took)
	}
	composition, err := composed{config: config, parent: parent}.ask(t)
	if err != nil || len(composition.Children) != 5000 {
		t.Errorf("with less text there are %d children, %v, want 5000", len(composition.Children), err)
	}
}
