package reload

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pmezard/go-difflib/difflib"

	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/engine"
	"kooperd.dev/kooperd/pkg/statusz"
)

// The bounds of what is remembered of revisions.
const (
	maxRevisions = 5       // with the one that runs
	maxChanges   = 50      // definitions of one revision
	maxDiff      = 4 << 10 // bytes of one definition
	maxDiffs     = 64 << 10
	maxDiffLines = 2000 // of a definition that is compared
)

// nothingShown stands for the difference of two definitions that look the same.
const nothingShown = "it differs only in what is not shown, such as values of secrets and of environment variables"

// running is the config that runs, with those before. It does not change.
type running struct {
	config    *config.Config
	revisions []statusz.Revision // the newest first
}

// RevisionsOf returns the config that runs and those that ran before it in this process, the newest
// first: five at most. The caller must not change them.
func RevisionsOf(r *Reloader) []statusz.Revision { return r.current.Load().revisions }

// begin is the first config that runs.
func begin(cfg *config.Config) *running {
	return &running{config: cfg, revisions: []statusz.Revision{{Hash: cfg.Hash, Accepted: time.Now().UTC()}}}
}

// follow returns what runs when cfg has taken the place of what ran until now.
func (r *running) follow(cfg *config.Config, changes engine.Changes) *running {
	next := statusz.Revision{Hash: cfg.Hash, Accepted: time.Now().UTC()}
	for what, names := range map[string][]string{"added": changes.Added, "removed": changes.Removed, "changed": changes.Replaced} {
		for _, name := range names {
			next.Changed = append(next.Changed, statusz.Change{Definition: name, What: what})
		}
	}
	slices.SortFunc(next.Changed, func(a, b statusz.Change) int { return strings.Compare(a.Definition, b.Definition) })
	next.ChangedTotal = len(next.Changed)
	next.Changed = next.Changed[:min(len(next.Changed), maxChanges)]
	left := maxDiffs
	for i := range next.Changed {
		if change := &next.Changed[i]; change.What == "changed" && left > 0 {
			change.Diff = diffOf(definitionOf(r.config, change.Definition), definitionOf(cfg, change.Definition))
			left -= len(change.Diff)
		}
	}
	all := append([]statusz.Revision{next}, r.revisions...)
	return &running{config: cfg, revisions: all[:min(len(all), maxRevisions)]}
}

func definitionOf(cfg *config.Config, name string) config.Definition {
	i := slices.IndexFunc(cfg.Definitions, func(d config.Definition) bool { return d.Name == name })
	if i < 0 {
		return config.Definition{}
	}
	return cfg.Definitions[i]
}

// diffOf returns the lines in which two definitions differ, as far as they may be shown.
func diffOf(before, after config.Definition) string {
	was, err := config.ShownDefinition(before)
	if err != nil {
		return fmt.Sprintf("it cannot be compared: %v", err)
	}
	is, err := config.ShownDefinition(after)
	if err != nil {
		return fmt.Sprintf("it cannot be compared: %v", err)
	}
	a, b := difflib.SplitLines(string(was)), difflib.SplitLines(string(is))
	if len(a) > maxDiffLines || len(b) > maxDiffLines {
		return fmt.Sprintf("it is too long to be compared: %d lines before, and %d now", len(a), len(b))
	}
	text, err := difflib.GetUnifiedDiffString(difflib.UnifiedDiff{A: a, B: b, Context: 1})
	if err != nil {
		return fmt.Sprintf("it cannot be compared: %v", err)
	}
	if text == "" {
		return nothingShown
	}
	if len(text) <= maxDiff {
		return text
	}
	text = text[:maxDiff]
	return text[:strings.LastIndexByte(text, '\n')+1] + "…\n"
}
