package e2e_test

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// callLog is a file to which the handler programs of all replicas append a line when a call begins,
// and one when it ends. It is outside of every kooperd, so it shows what really happened.
type callLog struct{ path string }

// span is one call of a handler program.
type span struct {
	replica, definition, object string
	begin, end                  int64 // in nanoseconds since the epoch; end is 0 when the program was killed
}

func newCallLog(t *testing.T) callLog {
	t.Helper()
	return callLog{path: filepath.Join(t.TempDir(), "calls")}
}

// handler returns the config of an exec handler that writes the call log and takes seconds, such as
// "0.05".
func (l callLog) handler(seconds string) string { return l.program("sleep " + seconds) }

// program is handler with what it does between the two lines.
func (l callLog) program(work string) string {
	const line = `echo "$1 $REPLICA $KOOPERD_DEFINITION $KOOPERD_NAMESPACE/$KOOPERD_NAME $$ $(date +%s%N)" >>"$CALL_LOG"`
	script := fmt.Sprintf(`note() { %s; }; note begin; %s; note end`, line, work)
	return fmt.Sprintf(`exec: {command: ["sh", "-c", %q], env: CALL_LOG: %q, passEnv: ["REPLICA"]}`, script, l.path)
}

// spans returns the calls so far, in the order of their beginning.
func (l callLog) spans(t *testing.T) []span {
	t.Helper()
	text, err := os.ReadFile(l.path)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		t.Fatalf("reading the call log: %v", err)
	}
	text = text[:bytes.LastIndexByte(text, '\n')+1] // The last line may be half written.
	var spans []span
	open := map[string]int{} // by process ID of the program
	scanner := bufio.NewScanner(bytes.NewReader(text))
	for scanner.Scan() {
		words := strings.Fields(scanner.Text())
		if len(words) != 6 {
			t.Fatalf("reading the call log: line %q", scanner.Text())
		}
		at, err := strconv.ParseInt(words[5], 10, 64)
		if err != nil {
			t.Fatalf("reading the call log: %v", err)
		}
		if words[0] == "begin" {
			open[words[4]] = len(spans)
			spans = append(spans, span{replica: words[1], definition: words[2], object: words[3], begin: at})
			continue
		}
		spans[open[words[4]]].end = at
	}
	slices.SortFunc(spans, func(a, b span) int { return int(a.begin - b.begin) })
	return spans
}

// assertNoOverlap fails when two calls of one definition for one object were under way at once. A
// call without an end was cut at killed (0: there must be none).
func assertNoOverlap(t *testing.T, spans []span, killed int64) {
	t.Helper()
	last := map[string]span{}
	for _, s := range spans {
		key := s.definition + " " + s.object
		if s.end == 0 {
			if killed == 0 {
				t.Errorf("call of %s by %s has no end", key, s.replica)
			}
			s.end = killed
		}
		if before, ok := last[key]; ok && before.end > s.begin {
			t.Errorf("two calls for %s at once: by %s from %d to %d, by %s from %d", key, before.replica, before.begin, before.end, s.replica, s.begin)
		}
		last[key] = s
	}
}

// maxConcurrent returns the largest number of calls of a definition that were under way at once.
func maxConcurrent(spans []span, definition string) int {
	type edge struct {
		at    int64
		delta int
	}
	var edges []edge
	for _, s := range spans {
		if s.definition == definition {
			edges = append(edges, edge{s.begin, 1}, edge{s.end, -1})
		}
	}
	slices.SortFunc(edges, func(a, b edge) int {
		if a.at != b.at {
			return int(a.at - b.at)
		}
		return a.delta - b.delta
	})
	now, top := 0, 0
	for _, e := range edges {
		now += e.delta
		top = max(top, now)
	}
	return top
}

// byReplica returns the calls of one replica.
func byReplica(spans []span, replica string) []span {
	return slices.DeleteFunc(slices.Clone(spans), func(s span) bool { return s.replica != replica })
}

// definitionNames returns the names of the definitions that have calls in spans, sorted.
func definitionNames(spans []span) []string {
	var names []string
	for _, s := range spans {
		names = append(names, s.definition)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// countObjects returns how many different objects a definition has been called for.
func countObjects(spans []span, definition string) int {
	seen := map[string]bool{}
	for _, s := range spans {
		if s.definition == definition {
			seen[s.object] = true
		}
	}
	return len(seen)
}
