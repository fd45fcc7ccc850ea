package compose

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"k8s.io/apimachinery/pkg/types"

	"kooperd.dev/kooperd/pkg/kube"
)

func TestAttention(t *testing.T) {
	l := &AttentionLog{}
	begin := time.Date(2026, 11, 27, 3, 0, 0, 0, time.UTC)
	about := func(kind AttentionKind, child, reason string) Attention {
		return Attention{Kind: kind, Parent: kube.Key{Name: "web"}, Child: child, Reason: reason}
	}
	read := func() (all []Attention, totals map[AttentionKind]int) {
		l.Each(func(a *Attention) { all = append(all, *a) })
		return all, l.Totals()
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

// TestAttentionIsBounded has 10,000 parents with 16 children each that are refused, and one with a
// fight.
func TestAttentionIsBounded(t *testing.T) {
	l := &AttentionLog{}
	begin := time.Date(2026, 11, 27, 3, 0, 0, 0, time.UTC)
	const parents = 10_000
	uid := func(i int) types.UID { return types.UID(fmt.Sprint("u-", i)) }
	refused := func(i int) (all []Attention) {
		for j := range 100 {
			all = append(all, Attention{
				Kind: AttentionRefused, Parent: kube.Key{Name: fmt.Sprint("web-", i)}, Child: fmt.Sprint("Pod/a/", j), Reason: strings.Repeat("x", maxAttentionReason),
			})
		}
		return all
	}
	for i := range parents {
		l.set(uid(i), refused(i), begin)
	}
	l.set("other", []Attention{{Kind: AttentionFight, Parent: kube.Key{Name: "other"}, Reason: "fight"}}, begin)
	read := func() (kept map[AttentionKind]int, of map[kube.Key]bool, bytes int, totals map[AttentionKind]int) {
		kept, of = map[AttentionKind]int{}, map[kube.Key]bool{}
		l.Each(func(a *Attention) {
			kept[a.Kind]++
			of[a.Parent] = true
			bytes += len(a.Reason) + len(a.Child)
		})
		return kept, of, bytes, l.Totals()
	}
	kept, of, bytes, totals := read()
	if totals[AttentionRefused] != 100*parents || totals[AttentionFight] != 1 || len(of) != maxAttentionParents+1 || len(l.shown) != len(of) || kept[AttentionFight] != 1 {
		t.Errorf("%d parents have something that is kept, %v of %v", len(of), kept, totals)
	}
	if most := maxAttentionParents * maxAttention * (maxAttentionReason + 10); bytes > most {
		t.Errorf("the texts have %d bytes, want %d at most", bytes, most)
	}
	if all := l.parents[uid(0)].all; cap(all) > 2*maxAttention {
		t.Errorf("there is room for %d of a parent", cap(all))
	}
	want := []Attention{{Kind: AttentionRefused, Parent: kube.Key{Name: "web-9999"}, Reason: onlyCounted, Since: begin}}
	if diff := cmp.Diff(want, l.Of(uid(9999))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	l.set(uid(9999), refused(9999), begin.Add(time.Minute)) // There is still no room.
	l.set(uid(0), nil, begin)
	l.set(uid(9999), refused(9999), begin.Add(time.Hour))
	if all := l.Of(uid(9999)); len(all) != maxAttention || !all[0].Since.Equal(begin) {
		t.Errorf("when there is room again, of a parent is kept %v", all)
	}
	for i := range parents {
		l.forget(uid(i))
	}
	if kept, _, _, totals := read(); len(l.shown) != 1 || kept[AttentionRefused] != 0 || totals[AttentionRefused] != 0 || l.kept[AttentionRefused] != 0 || l.kept[AttentionFight] != 1 {
		t.Errorf("after all are gone, %v of %v are kept", kept, totals)
	}
}

func TestKeyOfParent(t *testing.T) {
	for text, want := range map[string]kube.Key{"a/b": {Namespace: "a", Name: "b"}, "b": {Name: "b"}} {
		if got := keyOfParent(text); got != want {
			t.Errorf("%s is %+v", text, got)
		}
	}
}
