package config

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"kooperd.dev/kooperd/pkg/config/internal/diagnostic"
	"kooperd.dev/kooperd/pkg/config/internal/language"
	"kooperd.dev/kooperd/pkg/handlers"
)

// Rollout bounds how many objects of a composer's definition are changed at a time when what is
// desired for them changes.
type Rollout struct {
	// MaxUnavailable is how many objects may be not ready at once. Default: 1.
	MaxUnavailable Share
	// PauseWhen stops the rollout earlier; nil, the default, does not.
	PauseWhen *PauseWhen
}

// PauseWhen is when no more objects are changed, although not too many are not ready.
type PauseWhen struct {
	// NotReady is how many of the objects that have what is desired are not ready. Default: 1.
	NotReady Share
	// LongerThan is for how long each of them is not ready. Default: 10m.
	LongerThan time.Duration
}

// Share is a number of objects, or a percentage of all. Exactly one of the two is positive.
type Share struct {
	// Number is how many.
	Number int
	// Percent is how many of a hundred.
	Percent int
}

// Of is the share of so many objects. As Kubernetes does it for DaemonSets and StatefulSets, a
// percentage is rounded up, so it is never less than one of them.
func (s Share) Of(total int) int {
	if s.Percent == 0 {
		return s.Number
	}
	return max((total*s.Percent+99)/100, 1)
}

// String is the share as the file has it.
func (s Share) String() string {
	if s.Percent == 0 {
		return strconv.Itoa(s.Number)
	}
	return strconv.Itoa(s.Percent) + "%"
}

// shareOf reads a share that the schema has accepted; an empty one is a default of 1.
func shareOf(s language.Share) Share {
	if s == "" {
		return Share{Number: 1}
	}
	if percent, ok := strings.CutSuffix(string(s), "%"); ok {
		n, _ := strconv.Atoi(percent)
		return Share{Percent: n}
	}
	n, _ := strconv.Atoi(string(s))
	return Share{Number: n}
}

// readRollout reads the bounds of a rollout; nil where there are none.
func readRollout(r *resolver, at diagnostic.Path, f *language.Rollout) *Rollout {
	if f == nil {
		return nil
	}
	out := &Rollout{MaxUnavailable: shareOf(f.MaxUnavailable)}
	if f.PauseWhen == nil {
		return out
	}
	out.PauseWhen = &PauseWhen{NotReady: shareOf(f.PauseWhen.NotReady), LongerThan: language.DefaultLongerThan}
	if f.PauseWhen.LongerThan != "" {
		out.PauseWhen.LongerThan = r.duration(at.With("pauseWhen", "longerThan"), f.PauseWhen.LongerThan, time.Second)
	}
	if few, many := out.PauseWhen.NotReady, out.MaxUnavailable; few.Number > many.Number && many.Percent == 0 || few.Percent > many.Percent && many.Number == 0 {
		r.report(at.With("pauseWhen", "notReady"),
			fmt.Sprintf("is more than maxUnavailable, %s: so many are never reached", many), fmt.Sprintf("want at most %s", many), at.With("maxUnavailable"))
	}
	return out
}

// rolloutOf is the way back.
func rolloutOf(r *Rollout) *language.Rollout {
	if r == nil {
		return nil
	}
	out := &language.Rollout{MaxUnavailable: language.Share(r.MaxUnavailable.String())}
	if r.PauseWhen != nil {
		out.PauseWhen = &language.PauseWhen{NotReady: language.Share(r.PauseWhen.NotReady.String()), LongerThan: short(r.PauseWhen.LongerThan)}
	}
	return out
}

// checkRollout reports a rollout that cannot be.
func (l *loader) checkRollout(def Definition, handler handlers.Bound) {
	at := diagnostic.Path{"controllers", def.Name, "rollout"}
	switch {
	case def.Rollout == nil:
	case !handler.Composes():
		l.report.Add(l.doc.ValuePosition(at), at,
			fmt.Sprintf("the %s plugin makes no composers, whose children kooperd keeps", handler.Plugin()), l.leaveOut(handler))
	case isAboutChanges(def):
		l.report.Add(l.doc.ValuePosition(at), at,
			"the definition has a where that names oldObject: objects that do not change are not handled, so nobody knows which of them have what is desired",
			"write a where that goes by object alone")
	}
}
