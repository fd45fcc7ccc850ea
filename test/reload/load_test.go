package reload_test

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"kooperd.dev/kooperd/test/reload/probe"
)

const (
	definitions = 20
	changers    = 8 // clients that change objects at a time
	perSecond   = 100
	special     = 2 // objects of each role
)

// TestUnderLoad changes one definition after another while objects change. The others must not
// notice, and the one that changes must lose nothing.
func TestUnderLoad(t *testing.T) {
	r := newRig(t)
	objects := r.createObjects(t, size(200, 2000))
	wanted := revisions{}
	for i := range definitions {
		wanted[fmt.Sprintf("d%02d", i)] = 0
	}
	path := filepath.Join(t.TempDir(), "controllers.cue")
	writeFile(t, path, r.config(wanted))
	f := r.run(t, path, "--profiling")
	all := definitions * len(objects)
	f.awaitCalls(t, r, "a first call for each object", func(calls []probe.Call) bool { return len(calls) >= all && len(byKey(calls)) == all })
	t.Logf("%d calls before the first reload", len(r.record.all(t)))

	changes := startChanges(t, r, objects)
	reloads := loadedReloads{rig: r, follower: f, path: path, wanted: wanted}
	lease := r.leaseOf(t)
	for range size(20, 200) {
		reloads.next(t)
	}
	versions := changes.stop(t)

	if diff := gocmp.Diff(lease, r.leaseOf(t)); diff != "" {
		t.Errorf("the lease (-before +after):\n%s", diff)
	}
	r.awaitAll(t, f, wanted, objects, versions)
	calls := byKey(r.record.all(t))
	var found []string
	for k, calls := range calls {
		found = append(found, complaints(calls, len(versions[k.object]))...)
	}
	slices.Sort(found)
	for _, complaint := range found[:min(len(found), 20)] {
		t.Error(complaint)
	}
	if len(found) > 20 {
		t.Errorf("and %d more", len(found)-20)
	}
	t.Logf("%d calls, %d changes of objects", len(r.record.all(t)), changes.made())
	reloads.judge(t)
	if status := f.Stop(t); status != 0 {
		t.Errorf("exit status %d, want 0", status)
	}
}

// object is one that the definitions handle.
type object struct{ name, role string }

// createObjects makes n objects, among them some of each role.
func (r *rig) createObjects(t testing.TB, n int) []object {
	t.Helper()
	var all []object
	for _, role := range []string{probe.Slow, probe.Requeues, probe.Fails} {
		for i := range special {
			all = append(all, object{fmt.Sprintf("%s-%d", role, i), role})
		}
	}
	for i := len(all); i < n; i++ {
		all = append(all, object{fmt.Sprintf("object-%d", i), ""})
	}
	var creating sync.WaitGroup
	for i := range changers {
		creating.Go(func() {
			for j := i; j < n; j += changers {
				r.create(t, all[j].name, all[j].role)
			}
		})
	}
	creating.Wait()
	return all
}

// awaitAll waits until the wanted revision of each definition has had each object in its last
// version, and every timer that runs has fired once more.
func (r *rig) awaitAll(t testing.TB, f *follower, wanted revisions, objects []object, versions map[string][]string) {
	t.Helper()
	from := time.Now()
	last := map[key]probe.Call{}
	read := 0
	f.awaitCalls(t, r, "a last call for each object", func(all []probe.Call) bool {
		for _, c := range all[read:] {
			last[key{c.Definition, c.Object}] = c // No two calls for one object overlap.
		}
		read = len(all)
		for definition, revision := range wanted {
			for _, o := range objects {
				c, ok := last[key{definition, o.name}]
				if !ok || c.Revision != strconv.Itoa(revision) || o.role != "" && c.Began.Before(from) {
					return false
				}
				if v := versions[o.name]; len(v) > 0 && number(c.Version) < number(v[len(v)-1]) {
					return false
				}
			}
		}
		return true
	})
}

// changer changes objects without a role, as often as it is wanted.
type changer struct {
	end      context.CancelFunc
	running  sync.WaitGroup
	mu       sync.Mutex
	err      error
	versions map[string][]string // of the objects that were changed
}

func startChanges(t testing.TB, r *rig, objects []object) *changer {
	t.Helper()
	ctx, end := context.WithCancel(t.Context())
	c := &changer{end: end, versions: map[string][]string{}}
	due := make(chan struct{})
	c.running.Go(func() {
		tick := time.NewTicker(time.Second / perSecond)
		defer tick.Stop()
		defer close(due)
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			select {
			case <-ctx.Done():
				return
			case due <- struct{}{}:
			}
		}
	})
	plain := objects[3*special:]
	for i := range changers {
		random := rand.New(rand.NewPCG(1, uint64(i)))
		c.running.Go(func() {
			for range due {
				name := plain[random.IntN(len(plain)/changers)*changers+i].name // Each has one that changes it.
				version, err := r.change(context.WithoutCancel(ctx), name, strconv.Itoa(random.Int()))
				c.note(name, version, err)
			}
		})
	}
	t.Cleanup(func() { end(); c.running.Wait() })
	return c
}

func (c *changer) note(name, version string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err = cmp.Or(c.err, err)
	if err == nil {
		c.versions[name] = append(c.versions[name], version)
	}
}

// stop ends the changes, and returns the versions that the objects have had.
func (c *changer) stop(t testing.TB) map[string][]string {
	t.Helper()
	c.end()
	c.running.Wait()
	if c.err != nil {
		t.Fatalf("changing an object: %v", c.err)
	}
	return c.versions
}

// made returns how many changes there were.
func (c *changer) made() (n int) {
	for _, versions := range c.versions {
		n += len(versions)
	}
	return n
}

// loadedReloads changes one definition after another.
type loadedReloads struct {
	rig      *rig
	follower *follower
	path     string
	wanted   revisions

	done       int
	took       []time.Duration // from the change of the file to the first call of the new handler
	heap       []float64       // bytes, after a collection
	goroutines []float64
}

// next changes one definition and waits for the first call of its new handler.
func (l *loadedReloads) next(t testing.TB) {
	t.Helper()
	name := fmt.Sprintf("d%02d", l.done%definitions)
	before := ofDefinitions(l.follower.series(t))
	l.wanted[name]++
	n := len(l.rig.record.all(t))
	changed := time.Now()
	replaceFile(t, l.path, l.rig.config(l.wanted))
	l.follower.Signal(t, syscall.SIGHUP)
	var first probe.Call
	l.follower.Await(t, "a call of the new handler of "+name, func() (found bool) {
		first, found = l.rig.record.first(t, name, strconv.Itoa(l.wanted[name]), n)
		return found
	})
	l.done++
	line := l.follower.awaitChange(t, l.done)
	if want := "[" + name + "]"; line.Field("changed") != want || line.Field("kept") != strconv.Itoa(definitions-1) {
		t.Errorf("reload %d has changed %s and kept %s, want %s and %d", l.done, line.Field("changed"), line.Field("kept"), want, definitions-1)
	}
	l.took = append(l.took, first.Began.Sub(changed))
	if conformance { // A collection, so that what is counted is what is in use.
		l.follower.Get(t, "metrics", "/debug/pprof/heap?gc=1")
	}
	now := l.follower.series(t)
	continues(t, before, ofDefinitions(now))
	l.heap = append(l.heap, now["go_memstats_heap_alloc_bytes"])
	l.goroutines = append(l.goroutines, now["go_goroutines"])
}

// judge compares times, memory and goroutines with their limits, where the machine is not to blame.
func (l *loadedReloads) judge(t testing.TB) {
	t.Helper()
	took := slices.Sorted(slices.Values(l.took))
	p99 := took[(len(took)*99+99)/100-1]
	t.Logf("from the change of the file to the first call of the new handler: median %s, p99 %s, longest %s",
		seconds(took[len(took)/2]), seconds(p99), seconds(took[len(took)-1]))
	early, late := l.done/10, l.done-l.done/10
	heap := [2]float64{median(l.heap[early : 2*early]), median(l.heap[late:])}
	goroutines := [2]float64{median(l.goroutines[early : 2*early]), median(l.goroutines[late:])}
	t.Logf("heap: %.1f MiB around reload %d, %.1f MiB around reload %d", heap[0]/(1<<20), early+early/2, heap[1]/(1<<20), late+early/2)
	t.Logf("goroutines: %.0f, and then %.0f", goroutines[0], goroutines[1])
	if !conformance {
		return
	}
	if p99 > time.Second {
		t.Errorf("p99 is %s, want at most 1 s", seconds(p99))
	}
	if heap[1] > 1.1*heap[0] {
		t.Errorf("the heap grows from %.0f to %.0f bytes", heap[0], heap[1])
	}
	if goroutines[1] > 1.1*goroutines[0] {
		t.Errorf("goroutines grow from %.0f to %.0f", goroutines[0], goroutines[1])
	}
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}
