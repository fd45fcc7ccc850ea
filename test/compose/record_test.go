package compose_test

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"slices"
	"sync"
	"testing"

	"kooperd.dev/kooperd/test/compose/parts"
)

// record reads the calls that processes have recorded in a file. It may be used concurrently.
type record struct {
	path string

	mu     sync.Mutex
	offset int64
	calls  []parts.Call
}

// all returns the calls so far, in the order of their ends.
func (r *record) all(t testing.TB) []parts.Call {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	file, err := os.Open(r.path)
	if err != nil {
		t.Fatalf("reading the record of calls: %v", err)
	}
	defer file.Close()
	data, err := io.ReadAll(io.NewSectionReader(file, r.offset, 1<<40))
	if err != nil {
		t.Fatalf("reading the record of calls: %v", err)
	}
	for line := range bytes.Lines(data) {
		if !bytes.HasSuffix(line, []byte("\n")) {
			break
		}
		var c parts.Call
		if err := json.Unmarshal(line, &c); err != nil {
			t.Fatalf("parsing %q: %v", line, err)
		}
		r.calls = append(r.calls, c)
		r.offset += int64(len(line))
	}
	return slices.Clip(r.calls)
}

// has reports whether there is such a call.
func (r *record) has(t testing.TB, is func(parts.Call) bool) bool {
	t.Helper()
	return slices.ContainsFunc(r.all(t), is)
}
