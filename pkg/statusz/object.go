package statusz

import "time"

// ObjectReport is all that a replica knows of one object.
type ObjectReport struct {
	// Version is that of this form: Version.
	Version string `json:"version"`
	// Time is when the report was made.
	Time   time.Time `json:"time"`
	Object ObjectRef `json:"object"`
	// Leading says whether the replica works; a standby knows nothing of handlings.
	Leading bool `json:"leading"`
	// Definitions are those that watch the object, sorted by name.
	Definitions []ObjectIn `json:"definitions"`
	// ChildOf are the parents whose child it is.
	ChildOf []ObjectRow `json:"childOf,omitempty"`
}

// ObjectIn is the object in one definition.
type ObjectIn struct {
	Definition string `json:"definition"`
	// Cached says that its source has the object, Matches that the definition wants it.
	Cached  bool `json:"cached"`
	Matches bool `json:"matches"`
	// Waiting says what it waits for now: a worker, a retry with its time, nothing.
	Waiting string `json:"waiting"`
	// Failures is how many calls failed in a row, and Error the last error.
	Failures int    `json:"failures,omitempty"`
	Error    string `json:"error,omitempty"`
	// Blocked are what keeps it from being ready, fights, what is held or refused.
	Blocked []ObjectRow `json:"blocked,omitempty"`
	// Handlings are the last ones, the newest first.
	Handlings []Handling `json:"handlings,omitempty"`
}

// Handling is one call of a handler for an object.
type Handling struct {
	// Began is when, and Took how long.
	Began time.Time `json:"began"`
	Took  Seconds   `json:"took"`
	// Cause is why it was called, as in Request.Cause.
	Cause string `json:"cause"`
	// Attempt counts the calls since the last success, from 1.
	Attempt int `json:"attempt"`
	// Changed are the paths that differ from the version handled before, at most eight; empty when
	// nothing does or when that is not known.
	Changed []string `json:"changed,omitempty"`
	// By are what else called it: the child or related object whose event it was, as
	// KIND/NAMESPACE/NAME.
	By string `json:"by,omitempty"`
	// Writes are what was written to the API server in the call, at most sixteen; WritesTotal
	// counts all.
	Writes      []Write `json:"writes,omitempty"`
	WritesTotal int     `json:"writesTotal,omitempty"`
	// Result is done, requeue, retry, terminal, panic or cancelled.
	Result string `json:"result"`
	// Error is the text of a failure, one line without secrets, at most 512 bytes.
	Error string `json:"error,omitempty"`
	// Again is when it is called again without a change; zero for never.
	Again time.Time `json:"again,omitzero"`
}

// Write is one request that changes something.
type Write struct {
	// Verb is that of Kubernetes: create, patch, update, delete.
	Verb string `json:"verb"`
	// Object is what was written, as KIND/NAMESPACE/NAME or RESOURCE/NAMESPACE/NAME.
	Object string `json:"object"`
	// Status is the code of the answer.
	Status int `json:"status"`
}
