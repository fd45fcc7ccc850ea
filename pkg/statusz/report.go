// Package statusz is what one replica says of itself to people: who leads, what each definition is
// doing, what blocks its objects, and why an object was handled. The status page and the commands
// status and explain show it. It has the types only, and keeps nothing: the daemon fills them in.
//
//	var report statusz.Report
//	err := json.NewDecoder(response.Body).Decode(&report) // of /statusz?format=json
package statusz

import (
	"fmt"
	"slices"
	"time"

	"kooperd.dev/kooperd/pkg/status"
)

// Version is that of the JSON form. It changes when a field gets another meaning or goes, and stays
// when one is added.
const Version = "v1alpha1"

// Report is a whole replica at one moment.
type Report struct {
	// Version is that of this form: Version.
	Version string `json:"version"`
	// Time is when the report was made.
	Time time.Time `json:"time"`
	// Process is the program.
	Process Process `json:"process"`
	// Leadership is the lease around the engine.
	Leadership Leadership `json:"leadership"`
	// Config is the revision that runs, and those before.
	Config Config `json:"config"`
	// Ready says whether /readyz answers ok; Awaited are what it waits for otherwise.
	Ready   bool     `json:"ready"`
	Awaited []string `json:"awaited,omitempty"`
	// Definitions are sorted by name.
	Definitions []Definition `json:"definitions"`
	// Sources are sorted by kind, namespace and selector.
	Sources []Source `json:"sources"`
	// Objects are those that need somebody's attention, of all definitions, bounded.
	Objects Objects `json:"objects"`
	// History says what is remembered of handled objects.
	History History `json:"history"`
}

// Process is the program that reports.
type Process struct {
	// Name is the identity with which it competes for the lease.
	Name string `json:"name"`
	// Version is that of the build.
	Version string `json:"version"`
	// Started is when the process began.
	Started time.Time `json:"started"`
}

// Config is what the definitions come from.
type Config struct {
	// From names the files or the ConfigMap.
	From string `json:"from"`
	// Running is the revision that runs.
	Running Revision `json:"running"`
	// Refused is one that was read later and is not run; nil if there is none.
	Refused *Refusal `json:"refused,omitempty"`
	// Before are the revisions that ran before, the newest first; at most four.
	Before []Revision `json:"before,omitempty"`
}

// Revision is one config as it was read.
type Revision struct {
	// Hash is of the texts of the config's files, as kooperd_config_info has it.
	Hash string `json:"hash"`
	// Accepted is when it began to run.
	Accepted time.Time `json:"accepted"`
	// Changed are the definitions that differ from the revision before, sorted by name and bounded;
	// ChangedTotal counts all.
	Changed      []Change `json:"changed,omitempty"`
	ChangedTotal int      `json:"changedTotal,omitempty"`
}

// Change is what a revision does to one definition.
type Change struct {
	// Definition is its name.
	Definition string `json:"definition"`
	// What is added, removed or changed.
	What string `json:"what"`
	// Diff has the lines of the effective definition that differ, with + and - before them, without
	// secrets; empty for one that is added or removed.
	Diff string `json:"diff,omitempty"`
}

// Refusal is a revision that is not run.
type Refusal struct {
	// Reason says what is wrong with it, or what it waits for, in one line.
	Reason string `json:"reason"`
	// Mistakes are the parts of the reason, each in one line, at most twenty; MistakesTotal counts
	// all.
	Mistakes      []string `json:"mistakes,omitempty"`
	MistakesTotal int      `json:"mistakesTotal,omitempty"`
	// Since is when it was read.
	Since time.Time `json:"since"`
}

// Lines are the mistakes, and how many there are besides: of a replica that does not tell them, the
// reason.
func (r *Refusal) Lines() []string {
	if len(r.Mistakes) == 0 {
		return []string{r.Reason}
	}
	lines := slices.Clone(r.Mistakes)
	if more := r.MistakesTotal - len(lines); more > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", more))
	}
	return lines
}

// Definition is one controller.
type Definition struct {
	// Name, Plugin, APIVersion and Kind are as in the config.
	Name       string `json:"name"`
	Plugin     string `json:"plugin"`
	APIVersion string `json:"apiVersion,omitempty"`
	Kind       string `json:"kind,omitempty"`
	// EveryReplica says that it runs without the lease.
	EveryReplica bool `json:"everyReplica,omitempty"`
	// Status is its state with the reason.
	status.Status
	// Queue is what waits to be handled.
	Queue Queue `json:"queue"`
	// Calls are those of its handler.
	Calls Calls `json:"calls"`
	// Children are those of a composer, by state; empty for other handlers.
	Children map[string]int `json:"children,omitempty"`
	// Rollout says how far a change is that is made to a few objects at a time.
	Rollout string `json:"rollout,omitempty"`
	// Objects are those that need somebody's attention, bounded; those of all definitions together
	// are at most MaxRows.
	Objects Objects `json:"objects"`
	// Config is the definition that works, with all defaults, as YAML without what may be a
	// credential. Reports of several definitions leave it out.
	Config string `json:"config,omitempty"`
}

// Queue is what waits.
type Queue struct {
	// Waiting are the objects whose turn it is, as soon as a worker is free.
	Waiting int `json:"waiting"`
	// Oldest is how long the first of them has waited.
	Oldest Seconds `json:"oldest,omitempty"`
	// Later are those with a time before which they are not handled: retries and requeues.
	Later int `json:"later"`
	// Throttled says what holds the workers back, and whether the API server has answered 429 in
	// the last minutes; empty if nothing does.
	Throttled string `json:"throttled,omitempty"`
}

// Calls are the calls of one handler in the last minutes.
type Calls struct {
	// Workers is how many work on this replica; 0 on a standby. Busy are those in a call.
	Workers int `json:"workers"`
	Busy    int `json:"busy"`
	// Window is the length of the time that the figures below are of.
	Window Seconds `json:"window"`
	// Total are the calls in it, Failed those that failed.
	Total  int `json:"total"`
	Failed int `json:"failed"`
	// P50 and P99 are quantiles of how long the calls took, as the middle of a bucket.
	P50 Seconds `json:"p50"`
	P99 Seconds `json:"p99"`
}

// Seconds is a duration, as a number of seconds in JSON.
type Seconds float64

// Source is one watch that definitions share.
type Source struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Namespace  string `json:"namespace,omitempty"`
	Selector   string `json:"selector,omitempty"`
	// Content says how much of an object is kept: whole, metadata, or the fields of a manager.
	Content string `json:"content"`
	status.Status
	// Objects and Bytes are what its cache holds; Bytes are those of the objects as they are kept.
	Objects int   `json:"objects"`
	Bytes   int64 `json:"bytes"`
	// Definitions read it, sorted.
	Definitions []string `json:"definitions"`
}

// Objects are lists of objects that need somebody's attention. Each is bounded; Total counts all.
type Objects struct {
	// NotReady are parents with what blocks them; Failing are objects whose last call failed, those
	// that were given up first.
	NotReady ObjectList `json:"notReady,omitzero"`
	Failing  ObjectList `json:"failing,omitzero"`
	// Fights are children that another writer sets back again and again.
	Fights ObjectList `json:"fights,omitzero"`
	// Held are those that are left as they are for now: paused, held by a rollout or the brake, or
	// deleted children that a finalizer keeps.
	Held ObjectList `json:"held,omitzero"`
	// Refused are children that kooperd may not touch, since they are somebody else's.
	Refused ObjectList `json:"refused,omitzero"`
}

// ObjectList is the beginning of a list.
type ObjectList struct {
	Total int         `json:"total"`
	Items []ObjectRow `json:"items,omitempty"`
	// GivenUp is how many of them were given up, which those of Failing may be.
	GivenUp int `json:"givenUp,omitempty"`
}

// ObjectRow is one object with what is to be said of it.
type ObjectRow struct {
	Definition string    `json:"definition"`
	Object     ObjectRef `json:"object"`
	// Child is the one that it is about, as KIND/NAMESPACE/NAME; empty for the object itself.
	Child string `json:"child,omitempty"`
	// Reason says what blocks it, in one line without secrets.
	Reason string `json:"reason"`
	// Since is when that began, or when it was given up; zero when it is not known.
	Since time.Time `json:"since,omitzero"`
	// GivenUp says that the object is not retried, as in ObjectIn.
	GivenUp bool `json:"givenUp,omitempty"`
}

// ObjectRef names an object.
type ObjectRef struct {
	APIVersion string `json:"apiVersion,omitempty"`
	Kind       string `json:"kind"`
	Namespace  string `json:"namespace,omitempty"`
	Name       string `json:"name"`
}

// History says what is remembered of handled objects.
type History struct {
	// Enabled is false when --history-limit=0 turns it off.
	Enabled bool `json:"enabled"`
	// Objects and Handlings are how many are remembered now; Bytes is about what they take, Limit
	// what they may take.
	Objects   int   `json:"objects"`
	Handlings int   `json:"handlings"`
	Bytes     int64 `json:"bytes"`
	Limit     int64 `json:"limit"`
}
