package engine

import (
	"fmt"
	"strings"
	"testing"

	"kooperd.dev/kooperd/pkg/kube"
)

func key(i int) kube.Key { return kube.Key{Namespace: "ns", Name: fmt.Sprintf("object-%d", i)} }

func TestFailuresDescribe(t *testing.T) {
	f := newFailures()
	check := func(want string, wantFailing, wantExhausted int) {
		t.Helper()
		if got := f.describe(); got != want {
			t.Errorf("description is %q, want %q", got, want)
		}
		if failing, exhausted := f.counts(); failing != wantFailing || exhausted != wantExhausted {
			t.Errorf("counts are %d and %d, want %d and %d", failing, exhausted, wantFailing, wantExhausted)
		}
	}
	check("", 0, 0)
	f.add(key(1), failure{attempts: 1, message: "once"})
	check("", 1, 0)
	f.add(key(1), failure{attempts: 3, message: "three\n times"})
	check("calls keep failing for 1 object(s); ns/object-1: three times", 1, 0)
	f.add(key(2), failure{attempts: 1, exhausted: true, message: "no more"})
	check("calls keep failing for 2 object(s), 1 of them not retried until they change; ns/object-2: no more", 2, 1)
	f.add(key(3), failure{attempts: 1, terminal: true, message: "hopeless"})
	check("calls keep failing for 3 object(s), 2 of them not retried until they change; ns/object-3: hopeless", 3, 1)
	f.add(key(4), failure{attempts: 7, putOff: true, message: "later"})
	check("calls keep failing for 3 object(s), 2 of them not retried until they change; ns/object-3: hopeless", 4, 1)
	f.forget(key(4))
	f.forget(key(3))
	f.forget(key(2))
	check("calls keep failing for 1 object(s); ns/object-1: three times", 1, 0)
	if f.forget(key(2)) {
		t.Error("an object that is not there was forgotten")
	}
	f.clear()
	check("", 0, 0)
}

func TestFailuresKeepMessagesShort(t *testing.T) {
	f := newFailures()
	f.add(key(1), failure{terminal: true, message: strings.Repeat("ä", 1000)})
	if got := f.describe(); len(got) > 400 || !strings.HasSuffix(got, "ä…") {
		t.Errorf("description has %d bytes and ends in %q", len(got), got[len(got)-6:])
	}
}

// BenchmarkFailures shows that the cost does not depend on how many objects fail.
func BenchmarkFailures(b *testing.B) {
	for _, n := range []int{100, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			f := newFailures()
			for i := range n {
				f.add(key(i), failure{attempts: 5, message: "m"})
			}
			for b.Loop() {
				f.add(key(1), failure{attempts: 6, message: "m"})
				f.counts()
				f.describe()
			}
		})
	}
}
