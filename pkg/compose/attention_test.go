package compose

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kooperd.dev/kooperd/pkg/kube"
)

func TestAttention(t *testing.T) {
	l := &AttentionLog{}
	begin := time.Date(2026, 11, 27, 3, 0, 0, 0, time.UTC)
	about := func(kind AttentionKind, child, reason string) Attention {
		return Attention{Kind: kind, Parent: kube.Key{Name: "web"}, Child: child, Reason: reason}
	}
	read := func() (all []Attention, totals map[AttentionKind]int) {
		totals = l.Each(func(a Attention) { all = append(all, a) })
		return all, totals
	}
	l.set("u-1", nil, begin)
	l.set("u-1", []Attention{about(AttentionNotReady, "", "first"), about(AttentionRefused, "Pod/a/b", "it is not ours")}, begin)
	l.set("u-1", []Attention{about(AttentionNotReady, "", "second"), about(AttentionFight, "Pod/a/b", "fight")}, begin.Add(time.Minute))
	want := []Attention{about(AttentionNotReady, "", "second"), about(AttentionFight, "Pod/a/b", "fight")}
	want[0].Since, want[1].Since = begin, begin.Add(time.Minute)
	all, totals := read()
	if diff := cmp.Diff(want, all); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[AttentionKind]int{AttentionNotReady: 1, AttentionFight: 1, AttentionHeld: 0, AttentionRefused: 0}, totals); diff != "" {
		t.Errorf("totals (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want, l.Of("u-1")); diff != "" || l.Of("u-2") != nil {
		t.Errorf("(-want +got):\n%s", diff)
	}
	var many []Attention
	for i := range 100 {
		many = append(many, about(AttentionRefused, fmt.Sprint("Pod/a/", i), "it is not ours"))
	}
	l.set("u-2", many, begin)
	if all, totals := read(); len(all) != 2+maxAttention || totals[AttentionRefused] != 100 {
		t.Errorf("%d of %v are kept", len(all), totals)
	}
	l.forget("u-2")
	l.forget("u-3")
	if _, totals := read(); totals[AttentionRefused] != 0 || totals[AttentionFight] != 1 {
		t.Errorf("after one is gone: %v", totals)
	}
	l.set("u-1", nil, begin)
	if all, totals := read(); len(all) != 0 || totals[AttentionFight] != 0 || l.parents != nil {
		t.Errorf("when all is well: %v, %v", all, totals)
	}
	l.set("u-1", many, begin)
	l.clear()
	if all, totals := read(); len(all) != 0 || totals[AttentionRefused] != 0 {
		t.Errorf("cleared: %v, %v", all, totals)
	}
}

func TestKeyOfParent(t *testing.T) {
	for text, want := range map[string]kube.Key{"a/b": {Namespace: "a", Name: "b"}, "b": {Name: "b"}} {
		if got := keyOfParent(text); got != want {
			t.Errorf("%s is %+v", text, got)
		}
	}
}
