package status

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// What is kept of a config that does not run. All mistakes are counted.
const (
	maxMistakes = 20
	maxMistake  = 512 // bytes of one
)

// Refusal says why the config that was read last does not run. It is zero if that runs.
type Refusal struct {
	// Mistakes are what is wrong with it, or what it waits for, each in one line: at most twenty.
	Mistakes []string
	// Total counts all of them.
	Total int
	// Since is when that was found out.
	Since time.Time
}

// Reason is all of it in one line; empty for a config that runs.
func (r Refusal) Reason() string {
	all := strings.Join(r.Mistakes, "; ")
	if more := r.Total - len(r.Mistakes); more > 0 {
		all += fmt.Sprintf("; and %d more", more)
	}
	return all
}

// newRefusal reads a reason with a line for each mistake.
func newRefusal(reason string) (r Refusal) {
	for line := range strings.Lines(reason) {
		line = strings.Join(strings.Fields(line), " ")
		if line == "" {
			continue
		}
		if len(line) > maxMistake {
			line = strings.ToValidUTF8(line[:maxMistake-len("…")], "") + "…"
		}
		if r.Total++; len(r.Mistakes) < maxMistakes {
			r.Mistakes = append(r.Mistakes, line)
		}
	}
	return r
}

// same reports whether both say the same.
func (r Refusal) same(other Refusal) bool {
	return r.Total == other.Total && slices.Equal(r.Mistakes, other.Mistakes)
}
