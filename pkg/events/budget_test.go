package events

import (
	"fmt"
	"testing"
	"time"
)

const (
	normal  = "Normal"
	warning = "Warning"
)

var begin = time.Date(2026, 11, 26, 10, 0, 0, 0, time.UTC)

// taken is how many events of a class there may be about an object, now.
func (b *Budget) taken(object, class string, urgent bool, now time.Time) (n int) {
	for b.Take(object, class, urgent, now) {
		n++
	}
	return n
}

func TestBudgetOfAnObject(t *testing.T) {
	b := NewBudget()
	if n := b.taken("a", warning, false, begin); n != ObjectBurst/2 {
		t.Errorf("%d events that are not urgent, want %d", n, ObjectBurst/2)
	}
	if n := b.taken("a", warning, true, begin); n != ObjectBurst/2 {
		t.Errorf("%d urgent events after that, want %d", n, ObjectBurst/2)
	}
	for _, next := range []time.Duration{ObjectEvery, 2 * ObjectEvery} {
		if b.Take("a", warning, true, begin.Add(next-1)) || !b.Take("a", warning, true, begin.Add(next)) {
			t.Errorf("after %s there is no event more, or was one before", next)
		}
	}
	if n := b.taken("a", warning, true, begin.Add(24*time.Hour)); n != ObjectBurst {
		t.Errorf("%d events a day later, want %d", n, ObjectBurst)
	}
}

// TestSharedBudget has an object of which there are events of all classes. Of what is normal there
// are as many as of warnings and their ends together.
func TestSharedBudget(t *testing.T) {
	const over = "Recovered"
	b := NewSharedBudget()
	for _, step := range []struct {
		class  string
		urgent bool
		want   int
	}{
		{warning, false, SharedBurst / 2}, {warning, true, SharedBurst - 1 - SharedBurst/2}, {over, true, 1}, {over, true, 0},
		{normal, false, SharedBurst / 2}, {normal, true, SharedBurst - SharedBurst/2},
	} {
		if n := b.taken("a", step.class, step.urgent, begin); n != step.want {
			t.Errorf("%d events of class %s, urgent %t, want %d", n, step.class, step.urgent, step.want)
		}
	}
	if n := b.taken("b", warning, true, begin); n != SharedBurst-1 {
		t.Errorf("%d warnings about another object, want %d", n, SharedBurst-1)
	}
	for _, classes := range [][]string{{warning, over}, {normal}} {
		var at []time.Time
		for now := begin; now.Before(begin.Add(12 * time.Hour)); now = now.Add(time.Minute) {
			for _, class := range classes {
				if b.Take("c", class, true, now) {
					at = append(at, now)
				}
			}
		}
		for i := range len(at) - 10 {
			if at[i+10].Sub(at[i]) < time.Hour {
				t.Errorf("there are more than ten events of %v in the hour from %s on", classes, at[i])
			}
		}
		if len(at) < SharedBurst+11 {
			t.Errorf("%d events of %v in 12 hours", len(at), classes)
		}
	}
}

func TestBudgetsOfClassesAreApart(t *testing.T) {
	b := NewBudget()
	for i := range 2 * Burst {
		b.Take(fmt.Sprint(i), normal, true, begin)
	}
	if b.Take("a", normal, true, begin) || !b.Take("a", warning, true, begin) {
		t.Error("warnings share the limit of what is normal")
	}
}

// TestBudgetIsFair lets objects that say much use what they may, before others say something.
func TestBudgetIsFair(t *testing.T) {
	b := NewBudget()
	n := 0
	for i := range 10 {
		n += b.taken(fmt.Sprint("loud-", i), warning, true, begin)
	}
	quiet := 0
	for i := range Burst {
		quiet += b.taken(fmt.Sprint("quiet-", i), warning, true, begin)
	}
	if quiet < Burst*4/10 || n+quiet != Burst {
		t.Errorf("%d events of loud objects and %d of quiet ones", n, quiet)
	}
	if n := b.taken("late", warning, true, begin.Add(10*Every)); n != 1 {
		t.Errorf("%d events of an object that had none, want 1: the rest is left to others", n)
	}
}

func TestBudgetForgets(t *testing.T) {
	b := NewBudget()
	for i := range 10_000 {
		b.Take(fmt.Sprint(i), warning, true, begin.Add(time.Duration(i)*Every))
	}
	if n, most := len(b.objects), int(3*ObjectEvery/Every); n > most {
		t.Errorf("%d objects are remembered, want %d at most", n, most)
	}
	b.Take("a", warning, true, begin.Add(20_000*Every))
	b.Forget("a")
	if len(b.objects) != 0 {
		t.Errorf("%d objects are remembered, want none", len(b.objects))
	}
}
