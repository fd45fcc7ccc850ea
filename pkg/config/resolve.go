package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"

	"kooperd.dev/kooperd/pkg/config/internal/diagnostic"
	"kooperd.dev/kooperd/pkg/config/internal/language"
	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kinds"
	"kooperd.dev/kooperd/pkg/trigger"
)

// problem is a mistake that the schema cannot see, before it is given its place in a file.
type problem struct {
	at            diagnostic.Path
	instead       []diagnostic.Path // where else it may be reported, when the file has no at
	message, hint string
	text          *string // the text of the field, when the mistake is at one place in it
	offset        int     // that place, in characters
	key           bool    // it is the name of the field that is wrong

	position *diagnostic.Position // where it is, if the path does not lead there
}

// resolver makes a Config of a decoded file. It is pure: no files, no network, no environment.
type resolver struct {
	problems []problem
	filters  trigger.Compiler
	table    *kinds.Table
}

func (r *resolver) report(at diagnostic.Path, message, hint string, instead ...diagnostic.Path) {
	r.problems = append(r.problems, problem{at: at, instead: instead, message: message, hint: hint})
}

// resolve reads the texts of a decoded file and checks what depends on more than one field.
// Handlers are left out. It also takes files that lack what is required, as the rest of them is
// worth checking. known is what is known of custom kinds, and table has those of the file.
func resolve(f *language.File, known handlers.Kinds, table *kinds.Table) (*Config, []problem) {
	r := &resolver{filters: trigger.Compiler{TypeOf: known.TypeOf}, table: table}
	cfg := &Config{LeaderElection: r.election(diagnostic.Path{"leaderElection"}, f.LeaderElection)}
	if f.Engine != nil {
		cfg.Engine.MaxConcurrent = f.Engine.MaxConcurrent
	}
	for _, name := range slices.Sorted(maps.Keys(f.Controllers)) {
		if c := f.Controllers[name]; c != nil {
			cfg.Definitions = append(cfg.Definitions, r.controller(diagnostic.Path{"controllers", name}, name, c))
		}
	}
	r.problems = append(r.problems, sharedFinalizers(cfg.Definitions)...)
	for i, name := range f.Removed {
		if f.Controllers[name] != nil {
			r.report(diagnostic.Path{"removed", diagnostic.IndexStep(i)}, fmt.Sprintf("controller %q is still there", name),
				"take it out of controllers, or out of this list")
		}
	}
	cfg.Removed = slices.Compact(slices.Sorted(slices.Values(f.Removed)))
	return cfg, r.problems
}

// election reads the lease's settings. The demands on the timings are explained at #LeaderElection
// in the schema.
func (r *resolver) election(at diagnostic.Path, e language.LeaderElection) LeaderElection {
	if e.Disabled {
		return LeaderElection{Disabled: true, Name: e.Fields.Name} // The children of composers are marked with it.
	}
	le := LeaderElection{Name: e.Fields.Name, Namespace: e.Fields.Namespace, OnLost: OnLost(e.Fields.OnLost), Lock: Lock(e.Fields.Lock)}
	if len(le.Name) > validation.DNS1123SubdomainMaxLength {
		r.report(at.With("name"), fmt.Sprintf("has %d characters", len(le.Name)), "want at most 253")
	}
	before := len(r.problems)
	le.LeaseDuration = r.duration(at.With("leaseDuration"), e.Fields.LeaseDuration, time.Second)
	le.RenewDeadline = r.duration(at.With("renewDeadline"), e.Fields.RenewDeadline, minRetryPeriod)
	le.RetryPeriod = r.duration(at.With("retryPeriod"), e.Fields.RetryPeriod, minRetryPeriod)
	if len(r.problems) > before {
		return le
	}
	if le.LeaseDuration%time.Second != 0 {
		r.report(at.With("leaseDuration"), "want whole seconds, have "+e.Fields.LeaseDuration, "a Lease stores its duration in seconds")
		return le
	}
	r.timings(at, le, e.Fields)
	return le
}

// minRetryPeriod keeps a replica from loading the API server with renewals.
const minRetryPeriod = 100 * time.Millisecond

// timings checks that a term always ends before somebody else can lead. pkg/election refuses what
// this refuses, and less.
func (r *resolver) timings(at diagnostic.Path, le LeaderElection, written language.LeaderElectionFields) {
	lease, renew, retry := at.With("leaseDuration"), at.With("renewDeadline"), at.With("retryPeriod")
	if le.RetryPeriod > le.RenewDeadline*2/3 {
		r.report(renew, fmt.Sprintf("renewDeadline %s is too short for retryPeriod %s: one failed renewal could not be repeated", written.RenewDeadline, written.RetryPeriod),
			fmt.Sprintf("want at least 1.5 times as much, %s", short(le.RetryPeriod*3/2)), retry)
	}
	if reserve := max(le.RetryPeriod, time.Second); le.LeaseDuration < le.RenewDeadline+reserve || le.LeaseDuration*7/8 < le.RenewDeadline {
		least := max(le.RenewDeadline+reserve, (le.RenewDeadline*8+6)/7)
		r.report(lease, fmt.Sprintf("leaseDuration %s is too short for renewDeadline %s and retryPeriod %s: two replicas could work at once",
			written.LeaseDuration, written.RenewDeadline, written.RetryPeriod),
			fmt.Sprintf("want a leaseDuration of at least %s", short(wholeSeconds(least))), renew, retry)
	}
}

func wholeSeconds(d time.Duration) time.Duration {
	return (d + time.Second - 1).Truncate(time.Second)
}

func (r *resolver) controller(at diagnostic.Path, name string, c *language.Controller) Definition {
	out := Definition{
		Name:         name,
		Watch:        r.watch(at.With("watch"), c.Watch),
		Mode:         Mode(c.Mode),
		Workers:      1,
		Retry:        r.retry(at.With("retry"), c.Retry),
		Rate:         rateOf(c.Rate),
		Timeout:      r.duration(at.With("timeout"), c.Timeout, time.Millisecond),
		EveryReplica: c.LeaderElection == language.Disabled,
		Finalizer:    c.Finalizer,
		Children:     Children{ID: c.ID, Formerly: c.Formerly, OnRemove: OnRemove(c.OnRemove), Status: Status{None: c.Status == language.StatusNone, ConditionPrefix: c.ConditionPrefix}},
		Paused:       c.Paused,
	}
	out.Rollout = readRollout(r, at.With("rollout"), c.Rollout)
	if message, hint := finalizerMistake(c); message != "" {
		r.report(at.With("finalizer"), message, hint)
	}
	out.Filter = r.filter(at, out.Watch.Kind, c)
	if c.Resync != language.Off {
		out.Resync = r.duration(at.With("resync"), c.Resync, time.Second)
	}
	switch {
	case out.Mode == Concurrent && c.Workers != nil:
		out.Workers = *c.Workers
	case out.Mode == Concurrent:
		out.Workers = language.DefaultWorkers
	case c.Workers != nil:
		r.report(at.With("workers"), `means nothing when mode is "sequential"`, `write mode: "concurrent", or leave workers out`)
	}
	return out
}

func rateOf(f *language.Rate) Rate {
	switch {
	case f == nil:
		return Rate{}
	case f.Burst == nil:
		return Rate{PerSecond: f.PerSecond, Burst: language.DefaultBurst}
	default:
		return Rate{PerSecond: f.PerSecond, Burst: *f.Burst}
	}
}

func (r *resolver) retry(at diagnostic.Path, f language.Retry) Retry {
	before := len(r.problems)
	out := Retry{
		MaxRetries:   int(f.MaxRetries),
		InitialDelay: r.duration(at.With("initialDelay"), f.InitialDelay, time.Millisecond),
		MaxDelay:     r.duration(at.With("maxDelay"), f.MaxDelay, time.Millisecond),
	}
	if len(r.problems) == before && out.InitialDelay > out.MaxDelay {
		r.report(at.With("maxDelay"), fmt.Sprintf("maxDelay %s is shorter than initialDelay %s", f.MaxDelay, f.InitialDelay), "",
			at.With("initialDelay"))
	}
	return out
}

// duration reads a text that the schema has accepted, so all that can be wrong with it is its size.
func (r *resolver) duration(at diagnostic.Path, text string, least time.Duration) time.Duration {
	d, err := time.ParseDuration(text)
	switch {
	case err != nil:
		r.report(at, fmt.Sprintf("%s is longer than 290 years", diagnostic.Quote(text)), "")
	case d < least:
		r.report(at, fmt.Sprintf("want at least %s, have %s", short(least), text), "")
	}
	return d
}

// short prints a duration without the zeros that Go prints: 1m, not 1m0s.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
