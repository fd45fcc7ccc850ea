package history

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kooperd.dev/kooperd/pkg/kube"
	"kooperd.dev/kooperd/pkg/statusz"
)

func object(i int) kube.Key { return kube.Key{Namespace: "team-a", Name: fmt.Sprintf("web-%06d", i)} }

// paths are a change that keeps nothing.
type paths []string

func (p paths) Paths() []string { return p }
func (paths) Size() int         { return 0 }

func changedOf(c Cause) []string { return c.paths() }

// add adds a call with all that is in the handling.
func add(log *Log, key kube.Key, h statusz.Handling) {
	log.Add(key, Cause{changed: h.Changed, by: h.By}, &h)
}

// full is a handling with everything in it.
func full() statusz.Handling {
	began := time.Date(2026, 11, 27, 3, 4, 5, 678_901_000, time.UTC)
	return statusz.Handling{
		Began: began, Took: 0.25, Cause: "change", Attempt: 3, Changed: []string{"spec.replicas", `metadata.labels."a.b/c"`}, By: "ConfigMap/team-a/web",
		Writes: []statusz.Write{
			{Verb: "patch", Object: "configmaps/team-a/web", Status: 200}, {Verb: "patch", Object: "websites/team-a/web", Subresource: "status", Status: 409},
			{Verb: "odd", Object: "/somewhere"},
		},
		WritesTotal: 20, Result: "retry", Error: "it is not so", Again: began.Add(5 * time.Second),
	}
}

func TestHandlingsComeBack(t *testing.T) {
	log := New(1 << 20).Definition()
	plain := statusz.Handling{Began: full().Began.Add(time.Second), Took: 0.001, Cause: "initial", Attempt: 1, Result: "done"}
	strange := statusz.Handling{Began: plain.Began, Cause: "another", Result: "unheard", Attempt: 1}
	for _, h := range []statusz.Handling{full(), plain, strange} {
		add(log, object(1), h)
	}
	if diff := cmp.Diff([]statusz.Handling{strange, plain, full()}, log.Handlings(object(1))); diff != "" {
		t.Errorf("handlings (-want +got):\n%s", diff)
	}
	if got := log.Handlings(object(2)); got != nil {
		t.Errorf("an object that was never handled has %v", got)
	}
}

func TestLongTextsAreCut(t *testing.T) {
	log := New(1 << 20).Definition()
	h := full()
	h.Error = strings.Repeat("é", 1000)
	h.Changed = slicesOf("path", 20)
	h.Writes = make([]statusz.Write, 30)
	h.WritesTotal = 0
	add(log, object(1), h)
	got := log.Handlings(object(1))[0]
	if len(got.Error) > maxText || !strings.HasSuffix(got.Error, "é…") || len(got.Changed) != maxChanged || len(got.Writes) != MaxWrites || got.WritesTotal != 30 {
		t.Errorf("an error of %d bytes that ends in %q, %d paths, %d of %d writes",
			len(got.Error), got.Error[len(got.Error)-6:], len(got.Changed), len(got.Writes), got.WritesTotal)
	}
}

func slicesOf(text string, n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprint(text, i))
	}
	return all
}

func TestTheLastOfAnObjectAreKept(t *testing.T) {
	h := New(1 << 20)
	log := h.Definition()
	for i := range 23 {
		add(log, object(1), statusz.Handling{Began: full().Began, Attempt: i + 1, Cause: "change", Result: "done", Error: strings.Repeat("x", i*7%50)})
	}
	var attempts []int
	for _, handling := range log.Handlings(object(1)) {
		attempts = append(attempts, handling.Attempt)
	}
	if diff := cmp.Diff([]int{23, 22, 21, 20, 19}, attempts); diff != "" {
		t.Errorf("attempts (-want +got):\n%s", diff)
	}
	if stats := h.Stats(); stats.Objects != 1 || stats.Handlings != 5 {
		t.Errorf("remembered: %+v", stats)
	}
}

// TestTheOldestObjectsLeave fills a history: one object that is handled all the time pushes out no
// other one.
func TestTheOldestObjectsLeave(t *testing.T) {
	const limit = 20_000
	h := New(limit)
	log, other := h.Definition(), h.Definition()
	for i := range 1000 {
		add(log, object(i), full())
		add(other, object(0), full())
	}
	stats := h.Stats()
	if stats.Bytes > limit || stats.Bytes < limit/2 || stats.Objects < 20 || stats.Limit != limit || !stats.Enabled {
		t.Errorf("remembered: %+v", stats)
	}
	if len(log.Handlings(object(0))) != 0 || len(log.Handlings(object(999))) != 1 || len(other.Handlings(object(0))) != perObject {
		t.Error("others have left than the oldest ones")
	}
	n := 0
	for i := range 1000 {
		n += len(log.Handlings(object(i)))
	}
	if n+perObject != stats.Handlings || n+1 != stats.Objects {
		t.Errorf("%d handlings are there, and the books say %+v", n+perObject, stats)
	}
	other.Remove()
	log.Remove()
	add(log, object(1), full()) // A call that has ended late.
	if stats := h.Stats(); stats.Bytes != 0 || stats.Objects != 0 || stats.Handlings != 0 || h.oldest != nil || h.newest != nil {
		t.Errorf("remembered of what is gone: %+v", stats)
	}
}

// TestMemory compares the books with the heap.
func TestMemory(t *testing.T) {
	const limit = 4 << 20
	keys := make([]kube.Key, 50_000)
	for i := range keys {
		keys[i] = object(i)
	}
	plain := statusz.Handling{Began: full().Began, Took: 0.001, Cause: "initial", Attempt: 1, Result: "done"}
	for name, test := range map[string]struct {
		handling statusz.Handling
		objects  int
		times    int
	}{
		"20000 objects once":          {handling: plain, objects: 20_000, times: 1},
		"20000 objects, with changes": {handling: full(), objects: 20_000, times: 3},
		"50000 objects":               {handling: plain, objects: 50_000, times: 2},
		"few objects, many times":     {handling: full(), objects: 1000, times: 20},
	} {
		before := heapInUse()
		h := New(limit)
		log := h.Definition()
		for range test.times {
			for _, key := range keys[:test.objects] {
				add(log, key, test.handling)
			}
		}
		used := heapInUse() - before
		stats := h.Stats()
		t.Logf("%s: %d bytes, %+v", name, used, stats)
		if stats.Bytes > limit || used > limit*3/2 || used > stats.Bytes*3/2 {
			t.Errorf("%s: %d bytes of the heap, and the books say %+v", name, used, stats)
		}
		if test.objects == 20_000 && test.times == 1 && stats.Objects != test.objects {
			t.Errorf("%s: %d are remembered", name, stats.Objects)
		}
		runtime.KeepAlive(h)
	}
}

func TestCauses(t *testing.T) {
	log := New(1 << 20).Definition()
	log.Changed(object(1), paths{"spec.a", "spec.b"})
	log.Changed(object(1), paths{"spec.b", "status"})
	log.Changed(object(2), paths(nil))
	log.CalledBy(object(1), "ConfigMap/a/b")
	log.CalledBy(object(1), "ConfigMap/a/c")
	got := log.Take(object(1))
	if diff := cmp.Diff([]string{"spec.a", "spec.b", "status"}, changedOf(got)); diff != "" || got.by != "ConfigMap/a/c" {
		t.Errorf("called by %s, changed (-want +got):\n%s", got.by, diff)
	}
	for _, key := range []kube.Key{object(1), object(2)} {
		if got := log.Take(key); len(changedOf(got)) != 0 || got.by != "" {
			t.Errorf("%s: taken already: %+v", key.Name, got)
		}
	}
	log.Changed(object(1), paths(slicesOf("spec.", 20)))
	if got := log.Take(object(1)); len(changedOf(got)) != maxChanged {
		t.Errorf("%d paths", len(changedOf(got)))
	}
	log.Changed(object(1), paths{"spec"})
	log.Pause()
	if got := log.Take(object(1)); len(changedOf(got)) != 0 || log.history.pending.Load() != 0 {
		t.Errorf("after the end of the work: %v, %d bytes", got, log.history.pending.Load())
	}
}

// TestPathsAreShared notes paths that other definitions have as well.
func TestPathsAreShared(t *testing.T) {
	h := New(1 << 20)
	log, other := h.Definition(), h.Definition()
	shared := append(make([]string, 0, 20), slicesOf("spec.", 10)...)
	for _, l := range []*Log{log, other} {
		l.Changed(object(1), paths(shared[:1]))
		l.Changed(object(2), paths(shared))
	}
	log.Changed(object(1), paths{"status.a"})
	log.Changed(object(1), paths{"status.b"})
	other.Changed(object(1), paths{"status.c"})
	if diff := cmp.Diff([]string{"spec.0", "status.a", "status.b"}, changedOf(log.Take(object(1)))); diff != "" {
		t.Errorf("changed (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"spec.0", "status.c"}, changedOf(other.Take(object(1)))); diff != "" {
		t.Errorf("changed in the other definition (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(slicesOf("spec.", 10), shared); diff != "" {
		t.Errorf("paths of others (-want +got):\n%s", diff)
	}
}

// TestPendingCalls has few calls to come, many, and few again, which are taken in any order.
func TestPendingCalls(t *testing.T) {
	h := New(4 << 20)
	log := h.Definition()
	for _, calls := range []int{1, maxFew, 1000, 2} {
		for i := range calls {
			log.Changed(object(i), paths{"spec"})
		}
		for i := range calls { // Those that were noted before are not noted anew.
			log.CalledBy(object(i), fmt.Sprint(i))
		}
		if log.pending.len() != calls || log.pending.n > maxFew {
			t.Errorf("of %d calls %d are noted, %d of them without a map", calls, log.pending.len(), log.pending.n)
		}
		for i := range calls {
			i = (i + calls/2) % calls
			if got := log.Take(object(i)); !slices.Equal(changedOf(got), []string{"spec"}) || got.by != fmt.Sprint(i) {
				t.Fatalf("call %d of %d: %+v", i, calls, got)
			}
		}
		if log.pending.len() != 0 || log.pending.more != nil || h.pending.Load() != 0 {
			t.Errorf("after %d calls %d are left, with %d bytes", calls, log.pending.len(), h.pending.Load())
		}
	}
	for i := range 20 {
		log.Changed(object(i), paths{"spec"})
	}
	log.Pause()
	if log.pending.len() != 0 || h.pending.Load() != 0 {
		t.Errorf("after the end of the work %d are left, with %d bytes", log.pending.len(), h.pending.Load())
	}
}

// TestManyPaths has more paths than are known by numbers.
func TestManyPaths(t *testing.T) {
	h := New(4 << 20)
	log := h.Definition()
	long := strings.Repeat("x", maxKnownPath+1)
	for range 2 {
		for i := range 2 * maxKnownPaths {
			want := []string{fmt.Sprint("spec.a", i), long, "spec.b"}
			add(log, object(i), statusz.Handling{Began: full().Began, Cause: "change", Result: "done", Changed: want})
			if diff := cmp.Diff(want, log.Handlings(object(i))[0].Changed); diff != "" {
				t.Fatalf("changed (-want +got):\n%s", diff)
			}
		}
	}
	if len(h.paths.texts) != maxKnownPaths || len(h.paths.numbers) != maxKnownPaths {
		t.Errorf("%d paths are known", len(h.paths.texts))
	}
}

// TestPendingCausesAreBounded notes more than there is room for, in many definitions.
func TestPendingCausesAreBounded(t *testing.T) {
	const limit, objects = 4 << 20, 20_000
	h := New(limit)
	var logs []*Log
	for range 200 {
		logs = append(logs, h.Definition())
	}
	for i := range objects {
		logs[0].Add(object(i), Cause{}, &statusz.Handling{Began: full().Began, Cause: "initial", Attempt: 1, Result: "done"})
	}
	heap := heapInUse()
	for i := range objects {
		logs[i%len(logs)].Changed(object(i), paths{"spec", "status"})
		logs[i%len(logs)].CalledBy(object(i), strings.Repeat("x", 100))
	}
	used := heapInUse() - heap
	noted := 0
	for _, log := range logs {
		noted += log.pending.len()
	}
	stats := h.Stats()
	t.Logf("%d objects are noted, with %d bytes of the heap: %+v, pending %d", noted, used, stats, h.pending.Load())
	if h.pending.Load() > limit/pendingShare || h.pending.Load() < limit/pendingShare/2 || stats.Bytes > limit || used > limit/2 || noted < 2000 {
		t.Errorf("%d objects are noted, with %d bytes of the heap: %+v, pending %d", noted, used, stats, h.pending.Load())
	}
	logs[0].CalledBy(object(0), strings.Repeat("x", limit)) // One that has no room changes nothing.
	if len(logs[0].Take(object(0)).by) > 100 {
		t.Error("more is noted than there is room for")
	}
	for i := range objects {
		logs[i%len(logs)].Take(object(i))
	}
	if h.pending.Load() != 0 || logs[0].pending.len() != 0 {
		t.Errorf("%d objects and %d bytes are left", logs[0].pending.len(), h.pending.Load())
	}
	logs[1].Changed(object(1), paths{"spec"})
	logs[1].Remove()
	logs[1].Changed(object(1), paths{"spec"}) // An event that has come late.
	if h.pending.Load() != 0 {
		t.Errorf("%d bytes are left of a definition that is gone", h.pending.Load())
	}
}

func heapInUse() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestOff(t *testing.T) {
	for _, limit := range []int64{0, -1} {
		h := New(limit)
		log := h.Definition()
		log.Changed(object(1), paths{"spec"})
		log.CalledBy(object(1), "by")
		add(log, object(1), full())
		log.Pause()
		if log.Enabled() || log.Handlings(object(1)) != nil || log.Take(object(1)).by != "" || h.Stats() != (statusz.History{}) {
			t.Errorf("%d bytes remember something", limit)
		}
		log.Remove()
	}
	if !New(1).Definition().Enabled() {
		t.Error("a history is off")
	}
}

// TestConcurrent is for the race detector.
func TestConcurrent(t *testing.T) {
	h := New(50_000)
	logs := []*Log{h.Definition(), h.Definition()}
	var running sync.WaitGroup
	for i := range 8 {
		running.Go(func() {
			log := logs[i%2]
			for j := range 500 {
				key := object(j % 100)
				log.Changed(key, paths{"spec"})
				handling := full()
				handling.Changed = changedOf(log.Take(key))
				add(log, key, handling)
				for _, got := range log.Handlings(key) {
					if got.Error != full().Error {
						t.Errorf("damaged: %+v", got)
					}
				}
				h.Stats()
			}
		})
	}
	running.Wait()
	logs[0].Remove()
	logs[1].Remove()
	if stats := h.Stats(); stats.Bytes != 0 {
		t.Errorf("left: %+v", stats)
	}
}

// BenchmarkCall is a call for a change, from its event to its end.
func BenchmarkCall(b *testing.B) {
	log := New(4 << 20).Definition()
	keys := make([]kube.Key, 20_000)
	for i := range keys {
		keys[i] = object(i)
	}
	seen := paths{`metadata.annotations."example.com/seen"`}
	h := statusz.Handling{Began: full().Began, Took: 0.001, Cause: "change", Attempt: 1, Result: "done"}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		key := keys[i%len(keys)]
		log.Changed(key, seen)
		h.Changed = changedOf(log.Take(key))
		add(log, key, h)
	}
}

func BenchmarkAdd(b *testing.B) {
	log := New(64 << 20).Definition()
	keys := make([]kube.Key, 20_000)
	for i := range keys {
		keys[i] = object(i)
	}
	h := statusz.Handling{Began: full().Began, Took: 0.001, Cause: "initial", Attempt: 1, Result: "done"}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		add(log, keys[i%len(keys)], h)
	}
}
