package reload

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"kooperd.dev/kooperd/pkg/config"
)

// RefusedError says why a config that has no mistake does not replace the one that runs.
type RefusedError struct{ reason string }

func (e *RefusedError) Error() string { return e.reason }

func refusef(format string, args ...any) error {
	return &RefusedError{fmt.Sprintf(format, args...)}
}

// guard decides whether a config may replace another one.
type guard struct {
	allowRemovals  bool                  // every definition may go
	leaderElection bool                  // its settings count
	lease          config.LeaderElection // those that this process works by
}

// check returns why next does not replace running, or nil. It is a *RefusedError.
func (g guard) check(running, next revision) error {
	if err := g.restart(next.config); err != nil {
		return err
	}
	if g.allowRemovals {
		return nil
	}
	if err := g.removals(running.config, next.config); err != nil {
		return err
	}
	return g.truncated(running, next)
}

// restart refuses what only a new process can change. Nothing of such a config is applied, as it
// would be half of what its author means.
func (g guard) restart(next *config.Config) error {
	if !g.leaderElection || g.lease == next.LeaderElection {
		return nil
	}
	var changed []string
	add := func(field string, before, after any) {
		if before != after {
			changed = append(changed, fmt.Sprintf("%s is %v and would be %v", field, before, after))
		}
	}
	a, b := g.lease, next.LeaderElection
	if a.Disabled != b.Disabled {
		add("disabled", a.Disabled, b.Disabled)
	} else {
		add("name", orNone(a.Name), orNone(b.Name))
		add("namespace", orNone(a.Namespace), orNone(b.Namespace))
		add("leaseDuration", a.LeaseDuration, b.LeaseDuration)
		add("renewDeadline", a.RenewDeadline, b.RenewDeadline)
		add("retryPeriod", a.RetryPeriod, b.RetryPeriod)
		add("onLost", a.OnLost, b.OnLost)
		add("lock", a.Lock, b.Lock)
	}
	return refusef("leaderElection needs a restart, and nothing else is applied before: %s", strings.Join(changed, ", "))
}

func orNone(text string) string {
	if text == "" {
		return "not set"
	}
	return text
}

// removals refuses a config that lacks all or more than half of the definitions.
func (g guard) removals(running, next *config.Config) error {
	gone := missing(running, next)
	switch {
	case len(gone) == 0 || 2*len(gone) <= len(running.Definitions):
		return nil
	case len(next.Definitions) == 0:
		return refusef("no definition is left: to remove all of them, name them in `removed` (%s), or start with --allow-removals", listed(gone))
	default:
		return refusef("%d of %d definitions are missing: to remove them, name them in `removed` (%s), or start with --allow-removals",
			len(gone), len(running.Definitions), listed(gone))
	}
}

// missing returns the names of the definitions that are gone without a word in the file.
func missing(running, next *config.Config) []string {
	var gone []string
	for _, d := range running.Definitions {
		if !has(next, d.Name) && !slices.Contains(next.Removed, d.Name) && !goesOn(next, d) {
			gone = append(gone, d.Name)
		}
	}
	return gone
}

func has(cfg *config.Config, name string) bool {
	_, found := slices.BinarySearchFunc(cfg.Definitions, name, func(d config.Definition, name string) int {
		return strings.Compare(d.Name, name)
	})
	return found
}

// goesOn reports whether a definition has another name now: one there has its id, or has had it.
func goesOn(cfg *config.Config, d config.Definition) bool {
	return slices.ContainsFunc(cfg.Definitions, func(now config.Definition) bool { return slices.Contains(now.IDs(), d.IDs()[0]) })
}

// listed names the first few.
func listed(names []string) string {
	const most = 5
	if len(names) > most {
		return strings.Join(names[:most], ", ") + fmt.Sprintf(" and %d more", len(names)-most)
	}
	return strings.Join(names, ", ")
}

// truncated refuses a config one file of which is the beginning of what it was: it may be half
// written, or cut off. The ends of YAML files are good YAML at many places.
func (g guard) truncated(running, next revision) error {
	if sameMeaning(running.config, next.config) {
		return nil
	}
	for _, name := range next.growing {
		before, after := running.text(name), next.text(name)
		cut := bytes.TrimRight(after, " \t\r\n")
		if len(cut) < len(bytes.TrimRight(before, " \t\r\n")) && bytes.HasPrefix(before, cut) {
			if gone := missing(running.config, next.config); len(gone) == 0 && len(running.config.Definitions) > len(next.config.Definitions) {
				continue // All that are gone are named.
			}
			return refusef("%s is the beginning of the file that runs, up to byte %d of %d: it may be half written; "+
				"if it is meant, change anything before its end or name what goes in `removed`, or start with --allow-removals",
				name, len(after), len(before))
		}
	}
	return nil
}

// sameMeaning reports whether nothing has to be done to get from one config to the other.
func sameMeaning(a, b *config.Config) bool {
	return a.LeaderElection == b.LeaderElection && a.Engine == b.Engine &&
		slices.EqualFunc(a.Definitions, b.Definitions, func(a, b config.Definition) bool {
			return a.Name == b.Name && a.Digest == b.Digest && a.Digest != config.Digest{}
		})
}
