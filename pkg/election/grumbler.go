package election

import (
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// grumbler bounds how often one kind of failure is logged: at once when it is new, then once per interval.
type grumbler struct {
	interval time.Duration
	kind     string
	last     time.Time
	repeated int // failures of this kind since the last that was logged
}

// due reports whether err is to be logged now, and how many like it were not.
func (g *grumbler) due(err error, now time.Time) (repeated int, due bool) {
	kind := kindOf(err)
	if kind == g.kind && now.Sub(g.last) < g.interval {
		g.repeated++
		return 0, false
	}
	if kind == g.kind {
		repeated = g.repeated
	}
	g.kind, g.last, g.repeated = kind, now, 0
	return repeated, true
}

// reset makes the next failure a new one.
func (g *grumbler) reset() { *g = grumbler{interval: g.interval} }

// kindOf is the API server's reason, or "connection" for an error that is not its answer: those differ in ports and the like.
func kindOf(err error) string {
	if reason := apierrors.ReasonForError(err); reason != "" {
		return string(reason)
	}
	return "connection"
}
