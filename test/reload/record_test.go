package reload_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/test/reload/probe"
)

// record reads the calls that daemons have recorded in a file. It may be used concurrently.
type record struct {
	path string

	mu     sync.Mutex
	offset int64
	calls  []probe.Call
}

// all returns the calls so far, in the order of their ends.
func (r *record) all(t testing.TB) []probe.Call {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.read(); err != nil {
		t.Fatalf("reading the record of calls: %v", err)
	}
	return slices.Clip(r.calls)
}

// read adds the lines that are new and complete.
func (r *record) read() error {
	file, err := os.Open(r.path)
	if err != nil {
		return err
	}
	defer file.Close()
	if _, err := file.Seek(r.offset, io.SeekStart); err != nil {
		return err
	}
	data, err := io.ReadAll(file)
	if err != nil {
		return err
	}
	for line := range bytes.Lines(data) {
		if !bytes.HasSuffix(line, []byte("\n")) {
			break
		}
		var c probe.Call
		if err := json.Unmarshal(line, &c); err != nil {
			return fmt.Errorf("parsing %q: %w", line, err)
		}
		r.calls = append(r.calls, c)
		r.offset += int64(len(line))
	}
	return nil
}

// of returns the calls of a definition so far.
func (r *record) of(t testing.TB, definition string) []probe.Call {
	t.Helper()
	return slices.DeleteFunc(slices.Clone(r.all(t)), func(c probe.Call) bool { return c.Definition != definition })
}

// has reports whether some call of a definition is of that revision.
func (r *record) has(t testing.TB, definition, revision string) bool {
	t.Helper()
	_, found := r.first(t, definition, revision, 0)
	return found
}

// first returns the call of a definition's revision that has begun first, among those that were
// recorded after the first n.
func (r *record) first(t testing.TB, definition, revision string, n int) (first probe.Call, found bool) {
	t.Helper()
	for _, c := range r.all(t)[n:] {
		if c.Definition == definition && c.Revision == revision && (!found || c.Began.Before(first.Began)) {
			first, found = c, true
		}
	}
	return first, found
}

// key is an object of a definition.
type key struct{ definition, object string }

// byKey sorts calls by definition and object, and those of each by their beginnings.
func byKey(calls []probe.Call) map[key][]probe.Call {
	sorted := map[key][]probe.Call{}
	for _, c := range calls {
		k := key{c.Definition, c.Object}
		sorted[k] = append(sorted[k], c)
	}
	for _, calls := range sorted {
		slices.SortFunc(calls, func(a, b probe.Call) int { return a.Began.Compare(b.Began) })
	}
	return sorted
}

// early is how much earlier than a timer a call may seem to begin, because two clocks are read.
const early = 5 * time.Millisecond

// complaints says what is wrong with the calls for one object, whose beginnings they are sorted by.
// changes is how often the object was changed.
func complaints(calls []probe.Call, changes int) []string {
	var found []string
	initial, revisions, changed, first := map[string]int{}, map[string]bool{}, 0, 0
	complain := func(c probe.Call, format string, args ...any) {
		found = append(found, fmt.Sprintf("%s, call for %s of %s by revision %s at %s, attempt %d: %s", c.Cause, c.Object, c.Definition,
			c.Revision, c.Began.Format("15:04:05.000"), c.Attempt, fmt.Sprintf(format, args...)))
	}
	var before probe.Call
	for i, c := range calls {
		revisions[c.Revision] = true
		if c.Cancelled {
			complain(c, "it was cancelled")
		}
		if i > 0 && c.Began.Before(before.Ended) {
			complain(c, "the one before ended at %s", before.Ended.Format("15:04:05.000"))
		}
		if i > 0 && number(c.Revision) < number(before.Revision) {
			complain(c, "the one before was by revision %s", before.Revision)
		}
		switch c.Cause {
		case handlers.CauseInitial:
			first++
			if initial[c.Revision]++; initial[c.Revision] > 1 {
				complain(c, "the revision has had an initial call")
			}
		case handlers.CauseChange:
			// A revision's first call is one for a change when the news of that come before.
			if changed++; changes == 0 || changed+first > changes+len(revisions) {
				complain(c, "the object has changed %d times", changes)
			}
		case handlers.CauseRequeue:
			if before.RequeueAfter == 0 || c.Began.Before(before.Ended.Add(before.RequeueAfter-early)) {
				complain(c, "the one before ended at %s and asked for one after %s", before.Ended.Format("15:04:05.000"), before.RequeueAfter)
			}
		case handlers.CauseRetry:
			if !before.Failed || c.Attempt != before.Attempt+1 {
				complain(c, "the one before was attempt %d, failed: %t", before.Attempt, before.Failed)
			}
		default:
			complain(c, "nothing has asked for it")
		}
		before = c
	}
	return found
}

// number is a revision, or a resourceVersion, as a number.
func number(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		panic(err)
	}
	return n
}
